import { signal } from "@preact/signals";

/** The page that the address names: `#/orders/<id>` is { page: "orders", id }. */
export interface Route {
  page: string;
  id: string;
}

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

export const route = signal<Route>(parseRoute(globalThis.location?.hash ?? ""));

globalThis.addEventListener?.("hashchange", () => {
  route.value = parseRoute(location.hash);
});

/** Show another page; `replace` leaves no entry in the history, for addresses that hold a code. */
export function go(path: string, replace = false): void {
  const hash = `#/${path}`;
  if (replace) {
    history.replaceState(null, "", hash);
    route.value = parseRoute(hash);
  } else {
    location.hash = hash;
  }
}
