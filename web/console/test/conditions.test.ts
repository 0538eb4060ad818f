import { describe, expect, test } from "vitest";

import { conditions, quote, requireInner } from "../src/provider/conditions";
import { VIEWS, viewOf } from "../src/provider/views";

describe("conditions of a list", () => {
  test("name a column and an operator, eq unless stated", () => {
    const { all } = conditions(VIEWS.orders, { awaiting: "SUBDIST", "created_at@gte": "2026-11-01" });
    expect(all).toEqual([
      ["awaiting", "eq", "SUBDIST"],
      ["created_at", "gte", "2026-11-01"],
    ]);
  });

  test("leave out what was not entered, but not null and false", () => {
    const { all } = conditions(VIEWS.orders, { status: "", "status@in": [], "acknowledged_at@is": null, is_over_limit: false });
    expect(all).toEqual([
      ["acknowledged_at", "is", null],
      ["is_over_limit", "eq", false],
    ]);
  });

  test("refuse an operator that does not exist", () => {
    expect(() => conditions(VIEWS.orders, { "status@drop": "x" })).toThrow("no operator");
  });

  test("an order's number is found by equality, in any case and without its prefix", () => {
    for (const q of ["ORD-261127-000001", " ord-261127-000001 ", "261127-000001"]) {
      expect(conditions(VIEWS.orders, { q }).all).toEqual([["order_number", "eq", "ORD-261127-000001"]]);
    }
  });

  test("other words find orders by the partner's name, which then must exist", () => {
    const { all, inner } = conditions(VIEWS.orders, { q: "bunga, 50%" });
    expect(all).toEqual([["partners.business_name", "ilike", "%bunga, 50\\%%"]]);
    expect(requireInner(VIEWS.orders.list, inner)).toBe("*,partners!inner(business_name),sub_distributors(business_name)");
  });

  test("each word of a search is in one of the columns, quoted", () => {
    const { any } = conditions(VIEWS.products, { q: 'kirana "8.0"' });
    expect(any).toEqual([
      'sku.ilike."%kirana%",name.ilike."%kirana%"',
      'sku.ilike."%\\"8.0\\"%",name.ilike."%\\"8.0\\"%"',
    ]);
  });

  test("quoting keeps commas and parentheses as text", () => {
    expect(quote('a,b(c)"\\')).toBe('"a,b(c)\\"\\\\"');
  });

  test("a view that the console does not know is a mistake in its code", () => {
    expect(() => viewOf("secrets")).toThrow("does not read");
  });
});
