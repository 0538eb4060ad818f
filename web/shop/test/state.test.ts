import { type Client, createClient } from "@alfa-hub/common/client";
import type { Identity } from "@alfa-hub/common/session";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Basket, emptyBasket, withQuantity } from "../src/basket";

const store = vi.hoisted(() => ({
  kept: [] as unknown[],
  /** Answers the reading that waits. */
  answer: (_basket: unknown): void => undefined,
}));

vi.mock("../src/basket_store", () => ({
  loadBasket: () =>
    new Promise((resolve) => {
      store.answer = resolve;
    }),
  saveBasket: async (_account: string, basket: unknown) => {
    store.kept.push(basket);
  },
}));

vi.stubGlobal("document", { cookie: "", documentElement: {} });
const { Account } = await import("../src/state");

const identity: Identity = { role: "partner", subject: "p", isShadow: false };

it("the stock of each product is read, although the gateway returns two rows at once", async () => {
  const skus = ["A", "B", "C", "D", "E"];
  const offsets: number[] = [];
  const fetch: typeof globalThis.fetch = async (input) => {
    const { pathname, searchParams } = new URL(String(input));
    if (pathname === "/rpc/catalogue") return Response.json({ brands: [], categories: [], products: skus.map((sku) => ({ sku })) });
    const offset = Number(searchParams.get("offset") ?? 0);
    offsets.push(offset);
    return Response.json(skus.slice(offset, offset + 2).map((sku) => ({ sku, display_stock: 7, stock_stale: false })));
  };
  const account = new Account(createClient("http://hub.test", { fetch }), identity);
  await account.readCatalogue();
  account.close();
  expect(skus.filter((sku) => account.stock.value.get(sku)?.units !== 7)).toEqual([]);
  expect(offsets).toEqual([0, 2, 4]);
});

describe("the basket of an account", () => {
  const stored = withQuantity(withQuantity(emptyBasket(), "A", 3), "B", 1);
  let account: InstanceType<typeof Account>;

  beforeEach(() => {
    store.kept = [];
    account = new Account({} as Client, identity);
  });
  afterEach(() => account.close());

  const add = (sku: string) => account.setBasket(withQuantity(account.basket.value, sku, 1));
  const quantities = (basket: unknown) => (basket as Basket).lines.map(({ sku, quantity }) => [sku, quantity]);

  it("that was stored is not replaced by what is added before it is read", async () => {
    const opened = account.openBasket();
    await add("A");
    await add("C");
    expect(store.kept).toEqual([]);
    store.answer(stored);
    await opened;
    const both = [["A", 4], ["B", 1], ["C", 1]];
    expect(quantities(account.basket.value)).toEqual(both);
    expect(store.kept.map(quantities)).toEqual([both]);
  });

  it("is stored with each change once the stored one was read", async () => {
    const opened = account.openBasket();
    store.answer(stored);
    await opened;
    expect(account.basket.value).toBe(stored);
    await add("C");
    expect(store.kept.map(quantities)).toEqual([[["A", 3], ["B", 1], ["C", 1]]]);
  });

  it("that was sent before the stored one is read keeps its key", async () => {
    const opened = account.openBasket();
    await add("A");
    const sent = { ...account.basket.value, isPending: true };
    await account.setBasket(sent);
    store.answer(stored);
    await opened;
    expect(account.basket.value).toBe(sent);
    expect(store.kept).toEqual([sent]);
  });

  it("is not taken from another tab before it is opened", async () => {
    const followed = account.readBasket();
    store.answer(stored);
    await followed;
    expect(account.basket.value.lines).toEqual([]);
  });
});
