/**
 * How the console hands the token of a shadow session to the shop: by postMessage between two windows of one
 * origin, so that it is in no address, history or log.
 */

interface Ready {
  kind: "shadow-ready";
}
interface Token {
  kind: "shadow-token";
  token: string;
}

/** The shop's address that awaits a token. */
const SHADOW_ROUTE = "#/shadow";

/**
 * Console: open the shop in a new window and give it `token`. Call it in the click itself, with a promise for the
 * token, else the browser blocks the window. Returns false if it did.
 */
export function openShop(shop: string, token: Promise<string>): boolean {
  const opened = window.open(new URL(SHADOW_ROUTE, new URL(shop, document.baseURI)), "_blank");
  if (!opened) return false;
  const answer = (event: MessageEvent<Ready>) => {
    if (event.origin !== location.origin || event.source !== opened || event.data?.kind !== "shadow-ready") return;
    window.removeEventListener("message", answer);
    void token.then((value) => {
      opened.postMessage({ kind: "shadow-token", token: value } satisfies Token, location.origin);
    });
  };
  window.addEventListener("message", answer);
  token.catch(() => {
    window.removeEventListener("message", answer);
    opened.close();
  });
  return true;
}

/** Shop: ask the window that opened this one for a token. Undefined without such a window, or after `timeout` ms. */
export function receiveShadowToken(timeout = 15_000): Promise<string | undefined> {
  const opener: Window | null = window.opener;
  if (!opener) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const finish = (token: string | undefined) => {
      window.removeEventListener("message", hear);
      clearTimeout(timer);
      resolve(token);
    };
    const hear = (event: MessageEvent<Token>) => {
      if (event.origin !== location.origin || event.source !== opener) return;
      if (event.data?.kind === "shadow-token") finish(event.data.token);
    };
    const timer = setTimeout(() => finish(undefined), timeout);
    window.addEventListener("message", hear);
    opener.postMessage({ kind: "shadow-ready" } satisfies Ready, location.origin);
  });
}
