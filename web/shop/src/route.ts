import { signal } from "@preact/signals";

import { parseRoute, type Route } from "./route_path";

export const route = signal<Route>(parseRoute(location.hash));

addEventListener("hashchange", () => {
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
