/** The document of rpc/catalogue. */
export interface Catalogue {
  brands: { id: string; name: string; is_active: boolean }[];
  categories: { id: string; name: string; parent_id: string | null }[];
  products: Product[];
}

export interface Product {
  id: string;
  sku: string;
  name: string;
  description: string | null;
  brand_id: string;
  category_id: string;
  price: number;
  min_qty_discount: number | null;
  discount_price: number | null;
  retail_price: number | null;
  image_url: string | null;
}

/** What the partner looks for. Empty fields match everything. */
export interface Filter {
  words: string;
  brand: string;
  category: string;
}

/** A category and all below it. */
function withDescendants(categories: Catalogue["categories"], id: string): Set<string> {
  const found = new Set([id]);
  // A category can precede its parent; a tree of n levels is complete after n rounds.
  for (let size = 0; size !== found.size; ) {
    size = found.size;
    for (const { id: child, parent_id } of categories) if (parent_id && found.has(parent_id)) found.add(child);
  }
  return found;
}

/** Categories in the order of the tree, each with its depth. */
export function asTree(categories: Catalogue["categories"]): { id: string; name: string; depth: number }[] {
  const below = (parent: string | null, depth: number): { id: string; name: string; depth: number }[] =>
    categories
      .filter((category) => category.parent_id === parent)
      .flatMap(({ id, name }) => [{ id, name, depth }, ...below(id, depth + 1)]);
  return below(null, 0);
}

/** The products that match: each word is part of the name, the SKU or the brand. */
export function search(catalogue: Catalogue, filter: Filter): Product[] {
  const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean);
  const inCategory = filter.category ? withDescendants(catalogue.categories, filter.category) : undefined;
  const brandNames = new Map(catalogue.brands.map((brand) => [brand.id, brand.name]));
  return catalogue.products.filter((product) => {
    if (filter.brand && product.brand_id !== filter.brand) return false;
    if (inCategory && !inCategory.has(product.category_id)) return false;
    const text = `${product.name} ${product.sku} ${brandNames.get(product.brand_id) ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** IDR a unit for a quantity: the quantity discount applies from min_qty_discount units on. */
export function unitPrice(product: Product, quantity: number): number {
  const { min_qty_discount, discount_price, price } = product;
  return min_qty_discount !== null && discount_price !== null && quantity >= min_qty_discount
    ? discount_price
    : price;
}
