import { createClient } from "@alfa-hub/common/client";
import { beforeEach, describe, expect, test } from "vitest";

import { changes, createDataProvider } from "../src/provider/dataProvider";
import { CONFLICT, Failure, toFailure } from "../src/provider/failure";
import { isCut } from "../src/provider/page";

interface Sent {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: unknown;
}

let sent: Sent[] = [];
let answers: Response[] = [];

function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
}

const fetch: typeof globalThis.fetch = async (input, init) => {
  const url = new URL(String(input));
  sent.push({
    method: init?.method ?? "GET",
    path: url.pathname,
    query: url.searchParams,
    headers: new Headers(init?.headers),
    body: init?.body ? JSON.parse(String(init.body)) : undefined,
  });
  const answer = answers.shift();
  if (!answer) throw new TypeError("network away");
  return answer;
};

let isAgent = false;

const provider = createDataProvider(createClient("http://hub.test", { fetch }), {
  isAgent: () => isAgent,
  failure: (error) => toFailure(error, "id", () => undefined),
  conflict: (changed) => `changed: ${changed.join(", ")}`,
});

const page = (number: number, perPage = 2) => ({
  pagination: { page: number, perPage },
  sort: { field: "created_at", order: "DESC" as const },
  filter: {},
});

beforeEach(() => {
  isAgent = false;
  sent = [];
  answers = [];
});

describe("lists", () => {
  test("of what grows without end are not counted: one row more says that there is another page", async () => {
    answers = [json([{ id: "a" }, { id: "b" }, { id: "c" }])];
    const { data, pageInfo, total } = await provider.getList("orders", page(2));
    expect(data.map((row) => row.id)).toEqual(["a", "b"]);
    expect(pageInfo).toEqual({ hasNextPage: true, hasPreviousPage: true });
    expect(total).toBeUndefined();
    expect(sent[0]?.query.get("offset")).toBe("2");
    expect(sent[0]?.query.get("limit")).toBe("3");
    expect(sent[0]?.query.get("order")).toBe("created_at.desc.nullslast,id.desc.nullslast");
    expect(sent[0]?.headers.get("Prefer") ?? "").not.toContain("count");
  });

  test("of master data are counted", async () => {
    answers = [json([{ id: "a" }], 206, { "Content-Range": "0-0/57" })];
    const { total } = await provider.getList("partners", page(1));
    expect(total).toBe(57);
    expect(sent[0]?.headers.get("Prefer")).toContain("count=exact");
  });

  test("beyond the end are empty, so that the console goes back to a page that exists", async () => {
    answers = [json({ code: "PGRST103", message: "Requested range not satisfiable" }, 416)];
    expect(await provider.getList("partners", page(9))).toEqual({
      data: [],
      pageInfo: { hasNextPage: false, hasPreviousPage: true },
    });
  });

  test("take several values, quoted", async () => {
    answers = [json([])];
    await provider.getList("orders", { ...page(1), filter: { "status@in": ["SUBMITTED", 'a"b,c'] } });
    expect(sent[0]?.query.get("status")).toBe('in.("SUBMITTED","a\\"b,c")');
  });

  const NEWEST = { field: "created_at", order: "DESC" as const };
  const EARLIEST = { field: "due_date", order: "ASC" as const };

  test.each([
    ["orders", NEWEST, "newest_orders"],
    ["invoices", NEWEST, "newest_invoices"],
    ["invoices", EARLIEST, "earliest_due_invoices"],
    ["invoice_payments", NEWEST, "newest_payments"],
    ["credit_notes", NEWEST, "newest_credit_notes"],
  ])("of an agent's %s by %o are read by their call, page by page", async (resource, sort, call) => {
    isAgent = true;
    answers = [json([{ id: "a" }, { id: "b" }, { id: "c" }]), json([{ id: "c" }])];
    expect((await provider.getList(resource, { ...page(1), sort })).pageInfo).toEqual({ hasNextPage: true, hasPreviousPage: false });
    expect((await provider.getList(resource, { ...page(2), sort })).pageInfo).toEqual({ hasNextPage: false, hasPreviousPage: true });
    expect(sent.map(({ path, query }) => [path, query.get("n"), query.get("after")])).toEqual([
      [`/rpc/${call}`, "3", null],
      [`/rpc/${call}`, "3", "b"],
    ]);
  });

  test("of an agent with a filter or in another order, and of headquarters, are read from the view", async () => {
    isAgent = true;
    answers = [json([]), json([]), json([]), json([])];
    await provider.getList("orders", { ...page(1), filter: { status: "SUBMITTED" } });
    await provider.getList("invoices", { ...page(1), sort: { field: "due_date", order: "DESC" } });
    await provider.getList("messages", page(1));
    isAgent = false;
    await provider.getList("orders", page(1));
    expect(sent.map(({ path }) => path)).toEqual(["/orders", "/invoices", "/messages", "/orders"]);
  });

  test("say whether there is more than they show", async () => {
    const rows = [{ id: "a" }, { id: "b" }, { id: "c" }];
    answers = [json(rows), json(rows.slice(1)), json(rows.slice(1), 206, { "Content-Range": "0-1/3" }), json(rows.slice(1), 200, { "Content-Range": "0-1/2" })];
    expect(isCut(await provider.getList("orders", page(1)))).toBe(true);
    expect(isCut(await provider.getList("orders", page(1)))).toBe(false);
    expect(isCut(await provider.getList("partners", page(1)))).toBe(true);
    expect(isCut(await provider.getList("partners", page(1)))).toBe(false);
  });

  test("that are read whole are complete, although the gateway returns two rows at once", async () => {
    answers = [["a", "b"], ["c", "d"], ["e"]].map((ids, index) =>
      json(ids.map((id) => ({ id })), 206, { "Content-Range": `${2 * index}-${2 * index + ids.length - 1}/5` }),
    );
    const rows = await provider.getAll("tier_prices", { sort: { field: "effective_from", order: "DESC" }, filter: { product_id: "p1" } });
    expect(rows.map(({ id }) => id).join("")).toBe("abcde");
    expect(sent.map(({ query }) => query.get("offset"))).toEqual(["0", "2", "4"]);
    for (const { query } of sent) {
      expect(query.get("product_id")).toBe("eq.p1");
      expect(query.get("order")).toBe("effective_from.desc.nullslast,id.desc.nullslast");
    }
  });

  test("that a function returns are complete, too", async () => {
    answers = [["a", "b"], ["c"]].map((ids, index) =>
      json(ids.map((id) => ({ id })), 206, { "Content-Range": `${2 * index}-${2 * index + ids.length - 1}/3` }),
    );
    const rows = await provider.callAll("sla_lateness", { months: 12 }, ["month", "region_id"]);
    expect(rows).toHaveLength(3);
    expect(sent.map(({ path, query, body }) => [path, query.get("offset"), query.get("order"), body])).toEqual([
      ["/rpc/sla_lateness", "0", "month.asc.nullslast,region_id.asc.nullslast", { months: 12 }],
      ["/rpc/sla_lateness", "2", "month.asc.nullslast,region_id.asc.nullslast", { months: 12 }],
    ]);
  });

  test("that are read whole fail in words", async () => {
    answers = [json({ code: "NOT_ALLOWED", message: "no" }, 403)];
    const attempt = provider.getAll("regions", { sort: { field: "name", order: "ASC" }, filter: {} });
    await expect(attempt).rejects.toMatchObject({ status: 403, message: "Anda tidak berwenang melakukan ini." });
  });

  test("of related rows are limited to their owner", async () => {
    answers = [json([])];
    await provider.getManyReference("invoices", { ...page(1), target: "partner_id", id: "p1" });
    expect(sent[0]?.query.get("partner_id")).toBe("eq.p1");
  });

  test("of the work queue give a quarantined row an id", async () => {
    answers = [json([{ id: null, kind: "QUARANTINE", subject: "stock X" }], 206, { "Content-Range": "0-0/1" })];
    const { data } = await provider.getList("work_queue", { ...page(1), sort: { field: "", order: "ASC" } });
    expect(data[0]).toMatchObject({ id: "QUARANTINE:stock X", subject_id: null });
    expect(sent[0]?.query.get("order")).toBeNull();
  });
});

describe("changes", () => {
  const before = { id: "p1", updated_at: "2026-11-27T01:02:03.123456+00:00", credit_limit: 5, tier: "GOLD", regions: { name: "X" } };

  test("send the changed columns alone, and the time at which the row was read", async () => {
    answers = [json([{ ...before, credit_limit: 6 }])];
    await provider.update("partners", { id: "p1", data: { ...before, credit_limit: 6 }, previousData: before });
    expect(sent[0]).toMatchObject({ method: "PATCH", body: { credit_limit: 6 } });
    expect(sent[0]?.query.get("updated_at")).toBe(`eq.${before.updated_at}`);
  });

  test("of a row that someone else changed are refused, naming what they changed", async () => {
    answers = [json([]), json([{ ...before, tier: "SILVER", updated_at: "later" }])];
    const attempt = provider.update("partners", { id: "p1", data: { ...before, credit_limit: 6 }, previousData: before });
    await expect(attempt).rejects.toThrow("changed: tier");
    await expect(attempt).rejects.toMatchObject({ status: 409, body: { code: CONFLICT } });
  });

  test("that change nothing send nothing", async () => {
    expect(await provider.update("partners", { id: "p1", data: { ...before }, previousData: before })).toEqual({ data: before });
    expect(sent).toEqual([]);
  });

  test("do not hold what is embedded", () => {
    expect(changes(before, { ...before, regions: { name: "Y" }, tier: "SILVER" })).toEqual({ tier: "SILVER" });
  });

  test("empty a column with null", () => {
    expect(changes({ phone: "1" }, { phone: null })).toEqual({ phone: null });
  });
});

describe("refusals", () => {
  test("become a sentence in the reader's language, with what the hub says in details", async () => {
    answers = [json({ code: "PAYMENT_EXCEEDS_DUE", message: "no", details: "INV-1: Rp408.400 is due" }, 422)];
    await expect(provider.call("record_payment", { amount: 1 })).rejects.toThrow(
      "Pembayaran melebihi sisa tagihan. (INV-1: Rp408.400 is due)",
    );
  });

  test("differ from a lost answer", async () => {
    const error: unknown = await provider.call("approve_order", { order_id: "x" }).catch((raised: unknown) => raised);
    expect(error).toBeInstanceOf(Failure);
    expect((error as Failure).body.isUnanswered).toBe(true);
  });

  test("of a missing row say so", async () => {
    answers = [json([])];
    await expect(provider.getOne("orders", { id: "x" })).rejects.toMatchObject({ status: 404 });
  });
});

test("several rows are written in one request", async () => {
  answers = [json([{ id: "a" }, { id: "b" }], 201)];
  await provider.upsert("tier_prices", [{ id: "a" }, { id: "b" }]);
  expect(sent).toHaveLength(1);
  expect(sent[0]?.query.get("on_conflict")).toBe("id");
  expect(sent[0]?.headers.get("Prefer")).toContain("resolution=merge-duplicates");
});
