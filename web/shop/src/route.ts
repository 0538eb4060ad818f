import { signal } from "@preact/signals";

import { parseRoute, type Route } from "./route_path";

/** Pages whose address holds a code or a token. */
const WITH_CODE = new Set(["link", "reset", "shadow"]);

/** The page that the address names. A code leaves the address and the history before anything is shown or requested. */
function readAddress(): Route {
  const read = parseRoute(location.hash);
  if (read.id && WITH_CODE.has(read.page)) history.replaceState(null, "", `#/${read.page}`);
  return read;
}

export const route = signal<Route>(readAddress());

addEventListener("hashchange", () => {
  route.value = readAddress();
});

/** Show another page; `replace` leaves no entry in the history, so that going back does not lead to a used code. */
export function go(path: string, replace = false): void {
  const hash = `#/${path}`;
  if (replace) {
    history.replaceState(null, "", hash);
    route.value = parseRoute(hash);
  } else {
    location.hash = hash;
  }
}
