import { describe, expect, it } from "vitest";

import { createClient } from "../src/client";
import { readAll } from "../src/rows";

const MAX_ROWS = 3;
let requests: URL[] = [];

/** A gateway that returns at most `MAX_ROWS` of the numbers below `total`, and counts them when asked to. */
function gateway(total: () => number) {
  requests = [];
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const url = new URL(String(input));
    requests.push(url);
    const offset = Number(url.searchParams.get("offset") ?? 0);
    const isCounted = new Headers(init?.headers).get("Prefer")?.includes("count=exact");
    if (isCounted && offset > total()) return Response.json({ code: "PGRST103", message: "no such range" }, { status: 416 });
    const limit = Math.min(MAX_ROWS, Number(url.searchParams.get("limit") ?? MAX_ROWS));
    const rows = Array.from({ length: Math.max(0, Math.min(limit, total() - offset)) }, (_, index) => ({ sku: `S${offset + index}` }));
    return Response.json(rows, { headers: { "Content-Range": `${offset}-${offset + rows.length - 1}/${isCounted ? total() : "*"}` } });
  };
  return createClient("http://hub.test", { fetch }).from("products");
}

describe("all rows of a list are read although the gateway returns a few at once", () => {
  it.each([
    [0, 1],
    [2, 1],
    [3, 1],
    [7, 3],
  ])("%s rows that are counted, in %s requests", async (total, count) => {
    const products = gateway(() => total);
    const rows = await readAll((from, to) => products.select("sku", { count: "exact" }).order("sku").range(from, to));
    expect(rows.map(({ sku }) => sku)).toEqual(Array.from({ length: total }, (_, index) => `S${index}`));
    expect(requests).toHaveLength(count);
  });

  it("until they are complete, without a count", async () => {
    const products = gateway(() => 7);
    const rows = await readAll(
      (from, to) => products.select("sku").order("sku").range(from, to),
      async (read) => read.length === 7,
    );
    expect(rows).toHaveLength(7);
    expect(requests).toHaveLength(3);
  });

  it("and no further than there are any, when they never are complete", async () => {
    const products = gateway(() => 4);
    expect(await readAll((from, to) => products.select("sku").order("sku").range(from, to), () => false)).toHaveLength(4);
    expect(requests).toHaveLength(3);
  });

  it("and what went meanwhile is left out", async () => {
    let total = 7;
    const products = gateway(() => total);
    const rows = await readAll((from, to) => {
      if (from === 3) total = 1;
      return products.select("sku", { count: "exact" }).order("sku").range(from, to);
    });
    expect(rows).toHaveLength(3);
  });

  it("and a refusal is raised", async () => {
    const refused = Promise.resolve({ data: null, error: { code: "NOT_ALLOWED", message: "no" }, status: 403 });
    await expect(readAll(() => refused)).rejects.toMatchObject({ code: "NOT_ALLOWED" });
  });
});
