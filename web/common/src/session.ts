import { ApiError, asApiError, type Refusal, toApiError } from "./errors";

/** Roles of people. */
export type Role = "partner" | "subdist" | "agent" | "admin" | "superadmin";

/** Who is signed in. */
export interface Identity {
  subject: string;
  role: Role;
  /** True for an agent who acts for the partner `subject`. */
  isShadow: boolean;
}

/** Why a session ended: the person did it (here or in another tab), or the code of the hub's refusal. */
export type EndReason = "SIGNED_OUT" | "SHADOW_ENDED" | string;

export type SessionState =
  | { status: "starting" }
  | { status: "signed-out"; reason?: EndReason }
  | { status: "signed-in"; identity: Identity };

/** Answer of login, redeem_link and refresh_session (api.session_tokens). */
interface Tokens {
  access_token: string;
  refresh_token: string;
  role: Role;
  subject_id: string;
}

type Message = { kind: "tokens"; tokens: Pick<Tokens, "access_token" | "role" | "subject_id"> } | { kind: "end" };

/** The parts of a browser that a session uses; tests give their own. */
export interface Browser {
  fetch: typeof fetch;
  localStorage: Storage;
  sessionStorage: Storage;
  locks?: Pick<LockManager, "request">;
  channel?: Pick<BroadcastChannel, "postMessage" | "addEventListener">;
  window?: Pick<Window, "addEventListener">;
}

export interface SessionOptions {
  /** Absolute URL of the gateway. */
  api: string;
  /** Name of the app: apps of one origin have sessions of their own. */
  app: string;
  /** Used instead of the browser's, to watch requests. */
  fetch?: typeof fetch;
  browser?: Browser;
}

/** Refusals after which the tokens are worth nothing. */
const ENDED = new Set([
  "ACCOUNT_INACTIVE",
  "INVALID_REFRESH_TOKEN",
  "PGRST301",
  "REFRESH_TOKEN_REUSED",
  "SESSION_CLOSED",
  "UNAUTHENTICATED",
]);

function thisBrowser(app: string, send: typeof fetch = (...request) => fetch(...request)): Browser {
  return {
    fetch: send,
    localStorage,
    sessionStorage,
    // Neither exists outside HTTPS and loopback; the hub's 30 seconds of grace cover what is then missed.
    ...(navigator.locks ? { locks: navigator.locks } : {}),
    ...("BroadcastChannel" in globalThis ? { channel: new BroadcastChannel(`alfa-hub.${app}`) } : {}),
    window,
  };
}

/**
 * Who is signed in, in this tab and in step with the others.
 *
 * The access token is in memory. The refresh token is the only thing in localStorage; it is exchanged when the
 * page starts and when the gateway answers PGRST303, once at a time among all tabs. A shadow token of an agent
 * belongs to one tab (sessionStorage) and is never refreshed.
 */
export class Session {
  readonly #api: string;
  readonly #browser: Browser;
  readonly #refreshKey: string;
  readonly #shadowKey: string;
  readonly #lockName: string;
  readonly #listeners = new Set<(state: SessionState) => void>();
  #state: SessionState = { status: "starting" };
  #token: string | undefined;
  #refreshing: Promise<void> | undefined;
  /** Grows with each end: an answer to an earlier session's request must not revive it. */
  #generation = 0;

  constructor({ api, app, fetch, browser = thisBrowser(app, fetch) }: SessionOptions) {
    this.#api = api;
    this.#browser = browser;
    this.#refreshKey = `alfa-hub.${app}.refresh`;
    this.#shadowKey = `alfa-hub.${app}.shadow`;
    this.#lockName = `alfa-hub.${app}.refresh`;
    browser.channel?.addEventListener("message", (event) => this.#hear((event as MessageEvent<Message>).data));
    // Another tab has signed out while this one could not hear it: it was frozen, or has no BroadcastChannel.
    const check = () => {
      if (this.identity && !this.identity.isShadow && !browser.localStorage.getItem(this.#refreshKey)) {
        this.#end("SIGNED_OUT");
      }
    };
    browser.window?.addEventListener("storage", check);
    browser.window?.addEventListener("pageshow", check);
  }

  get state(): SessionState {
    return this.#state;
  }

  get identity(): Identity | undefined {
    return this.#state.status === "signed-in" ? this.#state.identity : undefined;
  }

  /** Call `listener` with each new state; returns the function that ends it. */
  subscribe(listener: (state: SessionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Take up the session that this browser has, if any. Raises ApiError when the hub does not answer; the session
   * is kept then, and `restore` can be called again.
   */
  async restore(): Promise<void> {
    const shadow = this.#browser.sessionStorage.getItem(this.#shadowKey);
    if (shadow) {
      this.adoptShadow(shadow);
      return;
    }
    if (!this.#browser.localStorage.getItem(this.#refreshKey)) {
      this.#change({ status: "signed-out" });
      return;
    }
    await this.#refresh(undefined);
  }

  /** Sign in with a password. Raises ApiError: CHOOSE_ROLE lists the roles in `details`. */
  async signIn(email: string, password: string, role?: Role): Promise<Identity> {
    return this.#take(await this.call<Tokens>("login", { email, password, ...(role ? { role } : {}) }));
  }

  /** Sign a sub-distributor in with the code of their link. Raises ApiError. */
  async redeemLink(token: string): Promise<Identity> {
    return this.#take(await this.call<Tokens>("redeem_link", { token }));
  }

  /** Act for a partner in this tab with the token of start_shadow_session. Raises ApiError unless it is one. */
  adoptShadow(token: string): Identity {
    const claims = readClaims(token);
    if (claims?.role !== "partner" || !claims.sub || !claims.act) {
      this.#browser.sessionStorage.removeItem(this.#shadowKey);
      this.#change({ status: "signed-out", reason: "SHADOW_ENDED" });
      throw new ApiError(401, "SHADOW_ENDED", "This is no token of a shadow session");
    }
    this.#browser.sessionStorage.setItem(this.#shadowKey, token);
    this.#token = token;
    const identity: Identity = { subject: claims.sub, role: "partner", isShadow: true };
    this.#change({ status: "signed-in", identity });
    return identity;
  }

  /** Sign out here and in all tabs; the hub is asked to close the session, but its answer is not awaited long. */
  async signOut(): Promise<void> {
    const token = this.#token;
    const call = this.identity?.isShadow ? "end_shadow_session" : "logout";
    this.#end("SIGNED_OUT", true);
    if (!token) return;
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    await this.#browser
      .fetch(`${this.#api}/rpc/${call}`, { method: "POST", headers, body: "{}", keepalive: true })
      .catch(() => undefined);
  }

  /** Call a function as anonymous: an old token would be refused before the call is looked at. Raises ApiError. */
  async call<T>(name: string, body: object): Promise<T> {
    let answer: Response;
    try {
      answer = await this.#browser.fetch(`${this.#api}/rpc/${name}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
    } catch (error) {
      throw asApiError(error);
    }
    const read: unknown = await answer.json().catch(() => ({}));
    if (!answer.ok) throw toApiError(read as Refusal, answer.status);
    return read as T;
  }

  /** `fetch` with the access token, repeated once with a new one after PGRST303. */
  readonly fetch: typeof fetch = async (input, init) => {
    const sent = this.#token;
    const answer = await this.#send(input, init);
    if (answer.status !== 401 || !sent) return answer;
    const refusal: Refusal = await answer
      .clone()
      .json()
      .catch(() => ({}));
    const code = refusal.code ?? "";
    if (this.identity?.isShadow) {
      if (code === "PGRST303" || ENDED.has(code)) this.#end("SHADOW_ENDED");
      return answer;
    }
    if (code === "PGRST303") {
      await this.#refresh(sent);
      return this.#token ? this.#send(input, init) : answer;
    }
    if (ENDED.has(code) && this.#token === sent) this.#end(code, true);
    return answer;
  };

  #send(input: RequestInfo | URL, init: RequestInit | undefined): Promise<Response> {
    const headers = new Headers(init?.headers);
    if (this.#token) headers.set("Authorization", `Bearer ${this.#token}`);
    return this.#browser.fetch(input, { ...init, headers });
  }

  /** Get a new access token unless `stale` has been replaced already. */
  async #refresh(stale: string | undefined): Promise<void> {
    if (this.#token !== stale) return;
    this.#refreshing ??= this.#locked(() => this.#exchange(stale)).finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async #locked(work: () => Promise<void>): Promise<void> {
    if (!this.#browser.locks) return work();
    return this.#browser.locks.request(this.#lockName, work);
  }

  async #exchange(stale: string | undefined): Promise<void> {
    if (this.#token !== stale) return; // another tab did it while this one waited for the lock
    const refresh = this.#browser.localStorage.getItem(this.#refreshKey);
    if (!refresh) {
      this.#end("SIGNED_OUT");
      return;
    }
    const generation = this.#generation;
    try {
      const tokens = await this.call<Tokens>("refresh_session", { refresh_token: refresh });
      if (generation === this.#generation) this.#take(tokens);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        if (generation === this.#generation) this.#end(error.code, true);
        return;
      }
      throw error;
    }
  }

  #take(tokens: Tokens): Identity {
    this.#browser.sessionStorage.removeItem(this.#shadowKey);
    this.#browser.localStorage.setItem(this.#refreshKey, tokens.refresh_token);
    const { access_token, role, subject_id } = tokens;
    this.#post({ kind: "tokens", tokens: { access_token, role, subject_id } });
    return this.#use({ access_token, role, subject_id });
  }

  #use({ access_token, role, subject_id }: Pick<Tokens, "access_token" | "role" | "subject_id">): Identity {
    this.#token = access_token;
    const now = this.identity;
    if (now?.subject === subject_id && now.role === role && !now.isShadow) return now;
    const identity: Identity = { subject: subject_id, role, isShadow: false };
    this.#change({ status: "signed-in", identity });
    return identity;
  }

  #hear(message: Message): void {
    if (this.identity?.isShadow) return;
    if (message.kind === "end") this.#end("SIGNED_OUT");
    else this.#use(message.tokens);
  }

  /** Forget everything of the session; with `everywhere` in the other tabs too. A shadow session has one tab. */
  #end(reason: EndReason, everywhere = false): void {
    this.#generation += 1;
    this.#token = undefined;
    const wasShadow = this.identity?.isShadow ?? false;
    this.#browser.sessionStorage.removeItem(this.#shadowKey);
    if (!wasShadow) {
      this.#browser.localStorage.removeItem(this.#refreshKey);
      if (everywhere) this.#post({ kind: "end" });
    }
    this.#change({ status: "signed-out", reason });
  }

  #post(message: Message): void {
    this.#browser.channel?.postMessage(message);
  }

  #change(state: SessionState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}

interface Claims {
  role?: string;
  sub?: string;
  act?: { sub?: string };
}

/** The claims of a token, unverified: they decide what is shown, never what is allowed. */
function readClaims(token: string): Claims | undefined {
  try {
    const part = token.split(".")[1] ?? "";
    return JSON.parse(atob(part.replace(/-/g, "+").replace(/_/g, "/"))) as Claims;
  } catch {
    return undefined;
  }
}
