/** The page that the address names: `#/orders/<id>` is { page: "orders", id }. */
export interface Route {
  page: string;
  id: string;
}

/** Read a location's hash. */
export function parseRoute(hash: string): Route {
  const [page = "", id = ""] = hash.replace(/^#\/?/, "").split("?")[0]?.split("/") ?? [];
  return { page, id: decode(id) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
