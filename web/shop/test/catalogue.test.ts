import { describe, expect, it } from "vitest";

import { asTree, type Catalogue, type Product, search, unitPrice } from "../src/catalogue";

function product(sku: string, name: string, more: Partial<Product> = {}): Product {
  return {
    id: sku,
    sku,
    name,
    description: null,
    brand_id: "kirana",
    category_id: "colour",
    price: 1000,
    min_qty_discount: null,
    discount_price: null,
    retail_price: null,
    image_url: null,
    ...more,
  };
}

const catalogue: Catalogue = {
  brands: [
    { id: "kirana", name: "Kirana Color", is_active: true },
    { id: "melati", name: "Melati Pro", is_active: true },
  ],
  categories: [
    { id: "permanent", name: "Permanen", parent_id: "colour" },
    { id: "colour", name: "Pewarna", parent_id: null },
    { id: "care", name: "Perawatan", parent_id: null },
  ],
  products: [
    product("KRN-1", "Permanent Cokelat Tua", { category_id: "permanent" }),
    product("KRN-2", "Semi Biru"),
    product("MLT-1", "Sampo Cokelat", { brand_id: "melati", category_id: "care" }),
  ],
};
const find = (words: string, brand = "", category = "") =>
  search(catalogue, { words, brand, category }).map((found) => found.sku);

describe("the search", () => {
  it.each([
    ["", ["KRN-1", "KRN-2", "MLT-1"]],
    ["  COKELAT  ", ["KRN-1", "MLT-1"]],
    ["tua permanent", ["KRN-1"]],
    ["melati", ["MLT-1"]],
    ["krn-2", ["KRN-2"]],
    ["(,", []],
  ])("for '%s' finds each product with all words", (words, skus) => expect(find(words)).toEqual(skus));

  it("keeps to the brand and the category with those below it", () => {
    expect(find("", "kirana", "colour")).toEqual(["KRN-1", "KRN-2"]);
    expect(find("", "", "permanent")).toEqual(["KRN-1"]);
    expect(find("", "melati", "colour")).toEqual([]);
  });
});

it("categories are listed as a tree", () =>
  expect(asTree(catalogue.categories).map(({ id, depth }) => [id, depth])).toEqual([
    ["colour", 0],
    ["permanent", 1],
    ["care", 0],
  ]));

describe("the price of a unit", () => {
  const discounted = product("A", "A", { min_qty_discount: 12, discount_price: 900 });
  it.each([
    [0, 1000],
    [11, 1000],
    [12, 900],
  ])("of %s units is %s", (quantity, price) => expect(unitPrice(discounted, quantity)).toBe(price));
});
