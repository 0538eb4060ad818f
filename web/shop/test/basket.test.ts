import { describe, expect, it } from "vitest";

import {
  emptyBasket,
  quantityOf,
  quotedPart,
  readBasket,
  submission,
  unitsLeft,
  withLines,
  withNotes,
  withPoints,
  withQuantity,
} from "../src/basket";

describe("the idempotency key", () => {
  const basket = withQuantity(emptyBasket(), "A", 2);

  it.each([
    ["another quantity", withQuantity(basket, "A", 3)],
    ["another product", withQuantity(basket, "B", 1)],
    ["a removed product", withQuantity(basket, "A", 0)],
    ["notes", withNotes(basket, "Antar pagi")],
    ["points", withPoints(basket, 5)],
  ])("changes with %s", (_what, changed) => expect(changed.key).not.toBe(basket.key));

  it.each([
    ["the same quantity", withQuantity(basket, "A", 2)],
    ["the same notes", withNotes(basket, "")],
    ["the same points", withPoints(basket, 0)],
    ["what was stored and read", readBasket(JSON.parse(JSON.stringify(basket)))],
  ])("stays with %s", (_what, same) => expect(same.key).toBe(basket.key));

  it("and the basket stay while an answer is awaited", () => {
    const pending = { ...basket, isPending: true };
    expect(withQuantity(pending, "A", 9)).toBe(pending);
    expect(withNotes(pending, "x")).toBe(pending);
    expect(readBasket(JSON.parse(JSON.stringify(pending))).isPending).toBe(true);
  });
});

describe("quantities", () => {
  it.each([
    [-1, 0],
    [Number.NaN, 0],
    [2.7, 2],
    [1_000_000, 100_000],
  ])("of %s are kept as %s", (typed, kept) => expect(quantityOf(withQuantity(emptyBasket(), "A", typed), "A")).toBe(kept));

  it("of an earlier order are added", () => {
    const basket = withLines(withQuantity(emptyBasket(), "A", 2), [
      { sku: "A", quantity: 3 },
      { sku: "B", quantity: 1 },
    ]);
    expect(basket.lines).toEqual([
      { sku: "A", quantity: 5 },
      { sku: "B", quantity: 1 },
    ]);
  });
});

it("a quote depends on products and points, not on notes", () => {
  const basket = withQuantity(emptyBasket(), "A", 2);
  expect(quotedPart(withNotes(basket, "x"))).toBe(quotedPart(basket));
  expect(quotedPart(withPoints(basket, 1))).not.toBe(quotedPart(basket));
});

it("a submission has the total that the partner saw and no empty notes", () => {
  const basket = { ...withQuantity(emptyBasket(), "A", 2), notes: "  ", expectedTotal: 500 };
  expect(submission(basket)).toEqual({
    items: [{ sku: "A", quantity: 2 }],
    points: 0,
    idempotency_key: basket.key,
    expected_total: 500,
  });
});

it.each([undefined, null, 5, {}, { lines: "x", key: "k" }])("stored nonsense (%s) is an empty basket", (stored) =>
  expect(readBasket(stored).lines).toEqual([]));

it("the units left are read from the refusal", () =>
  expect(unitsLeft("KRN-PRM-08: 959 left, ARN-1: 0 left")).toEqual(
    new Map([
      ["KRN-PRM-08", 959],
      ["ARN-1", 0],
    ]),
  ));
