import { beforeEach, describe, expect, it } from "vitest";

import { type Browser, Session } from "../src/session";

const API = "https://hub.example/api";

class MemoryStorage implements Storage {
  readonly kept = new Map<string, string>();
  get length(): number {
    return this.kept.size;
  }
  key(index: number): string | null {
    return [...this.kept.keys()][index] ?? null;
  }
  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.kept.set(key, value);
  }
  removeItem(key: string): void {
    this.kept.delete(key);
  }
  clear(): void {
    this.kept.clear();
  }
}

interface Sent {
  path: string;
  token: string | null;
  body: string;
}

/** The hub: access tokens `a1`, `a2`, ... of which only the newest is valid, and refresh tokens `r1`, `r2`, ... */
class FakeHub {
  sent: Sent[] = [];
  issued = 0;
  expired = new Set<string>();
  refusal: { status: number; code: string } | undefined;
  isDown = false;
  subject = "p1";
  /** Runs while a refresh is answered. */
  whileRefreshing: () => void = () => undefined;

  answer = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    await Promise.resolve();
    if (this.isDown) throw new TypeError("fetch failed");
    const path = String(input).replace(API, "");
    const token = new Headers(init?.headers).get("Authorization");
    this.sent.push({ path, token, body: String(init?.body ?? "") });
    if (this.refusal) return Response.json({ code: this.refusal.code }, { status: this.refusal.status });
    if (path === "/rpc/refresh_session") this.whileRefreshing();
    if (path === "/rpc/login" || path === "/rpc/refresh_session") {
      this.issued += 1;
      const tokens = {
        access_token: `a${this.issued}`,
        refresh_token: `r${this.issued}`,
        role: "partner",
        subject_id: this.subject,
      };
      return Response.json(tokens);
    }
    if (this.expired.has(token ?? "")) return Response.json({ code: "PGRST303" }, { status: 401 });
    return Response.json([]);
  };

  paths(): string[] {
    return this.sent.map((request) => request.path);
  }
}

/** A browser with one storage for all tabs, a queue as the lock, and a channel between the tabs. */
class FakeBrowser {
  readonly localStorage = new MemoryStorage();
  #tail: Promise<unknown> = Promise.resolve();
  #ears: { tab: number; hear: (event: { data: unknown }) => void }[] = [];
  #tabs = 0;

  constructor(private readonly hub: FakeHub) {}

  tab(): Browser & { sessionStorage: MemoryStorage } {
    const tab = ++this.#tabs;
    return {
      fetch: this.hub.answer,
      localStorage: this.localStorage,
      sessionStorage: new MemoryStorage(),
      locks: {
        request: ((_name: string, work: () => Promise<unknown>) => {
          const turn = this.#tail.then(work);
          this.#tail = turn.catch(() => undefined);
          return turn;
        }) as LockManager["request"],
      },
      channel: {
        postMessage: (data: unknown) => {
          for (const ear of this.#ears) if (ear.tab !== tab) ear.hear({ data });
        },
        addEventListener: (_kind: string, hear: unknown) => {
          this.#ears.push({ tab, hear: hear as (event: { data: unknown }) => void });
        },
      },
    };
  }
}

let hub: FakeHub;
let browser: FakeBrowser;
const open = (tab = browser.tab()) => new Session({ api: API, app: "test", browser: tab });
const read = (session: Session) => session.fetch(`${API}/orders`);

beforeEach(() => {
  hub = new FakeHub();
  browser = new FakeBrowser(hub);
});

describe("a session", () => {
  it("keeps the refresh token alone in localStorage", async () => {
    const tab = browser.tab();
    await open(tab).signIn("salon@example.com", "rahasia-2026");
    expect([...browser.localStorage.kept.values()]).toEqual(["r1"]);
    expect(tab.sessionStorage.kept.size).toBe(0);
  });

  it("is taken up after a reload with the refresh token", async () => {
    await open().signIn("salon@example.com", "rahasia-2026");
    const reloaded = open();
    await reloaded.restore();
    expect(reloaded.identity).toMatchObject({ subject: "p1", role: "partner", isShadow: false });
    expect(browser.localStorage.kept.size).toBe(1);
  });

  it("survives a reload while the hub is away", async () => {
    await open().signIn("salon@example.com", "rahasia-2026");
    hub.isDown = true;
    const reloaded = open();
    await expect(reloaded.restore()).rejects.toMatchObject({ code: "NETWORK" });
    hub.isDown = false;
    await reloaded.restore();
    expect(reloaded.identity?.subject).toBe("p1");
  });

  it("signs in without the token of an earlier session", async () => {
    const session = open();
    await session.signIn("a@example.com", "rahasia-2026");
    await session.signIn("b@example.com", "rahasia-2026");
    expect(hub.sent.map((request) => request.token)).toEqual([null, null]);
  });

  it("forgets everything at the sign-out and closes the session of the hub", async () => {
    const tab = browser.tab();
    const session = open(tab);
    await session.signIn("salon@example.com", "rahasia-2026");
    await session.signOut();
    expect(session.state).toEqual({ status: "signed-out", reason: "SIGNED_OUT" });
    expect(browser.localStorage.kept.size + tab.sessionStorage.kept.size).toBe(0);
    expect(hub.sent.at(-1)).toMatchObject({ path: "/rpc/logout", token: "Bearer a1" });
    await read(session);
    expect(hub.sent.at(-1)?.token).toBeNull();
  });
});

describe("an expired token", () => {
  it("is replaced once for calls that fail together, and each is repeated", async () => {
    const session = open();
    await session.signIn("salon@example.com", "rahasia-2026");
    hub.expired.add("Bearer a1");
    const answers = await Promise.all([read(session), read(session), read(session)]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    expect(hub.paths().filter((path) => path === "/rpc/refresh_session")).toHaveLength(1);
  });

  it("is replaced once for two tabs", async () => {
    const first = open();
    const second = open();
    await first.signIn("salon@example.com", "rahasia-2026");
    hub.expired.add("Bearer a1");
    const answers = await Promise.all([read(first), read(second)]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200]);
    expect(hub.paths().filter((path) => path === "/rpc/refresh_session")).toHaveLength(1);
  });

  it("does not revive a session that ended while it was refreshed", async () => {
    const session = open();
    await session.signIn("salon@example.com", "rahasia-2026");
    hub.expired.add("Bearer a1");
    hub.whileRefreshing = () => void session.signOut();
    expect((await read(session)).status).toBe(401);
    expect(session.identity).toBeUndefined();
    expect(browser.localStorage.kept.size).toBe(0);
  });
});

describe("other refusals", () => {
  it.each([
    [401, "42501"],
    [403, "NOT_ALLOWED"],
    [409, "OUT_OF_STOCK"],
  ])("%s %s refreshes nothing and ends nothing", async (status, code) => {
    const session = open();
    await session.signIn("salon@example.com", "rahasia-2026");
    hub.refusal = { status, code };
    expect((await read(session)).status).toBe(status);
    expect(hub.paths()).not.toContain("/rpc/refresh_session");
    expect(session.identity?.subject).toBe("p1");
  });

  it.each(["SESSION_CLOSED", "ACCOUNT_INACTIVE"])("%s ends the session in all tabs", async (code) => {
    const session = open();
    const other = open();
    await session.signIn("salon@example.com", "rahasia-2026");
    hub.refusal = { status: 401, code };
    await read(session);
    expect(session.state).toEqual({ status: "signed-out", reason: code });
    expect(other.state.status).toBe("signed-out");
    expect(browser.localStorage.kept.size).toBe(0);
  });

  it("a refused refresh token ends the session", async () => {
    browser.localStorage.setItem("alfa-hub.test.refresh", "r0");
    hub.refusal = { status: 401, code: "REFRESH_TOKEN_REUSED" };
    const session = open();
    await session.restore();
    expect(session.state).toEqual({ status: "signed-out", reason: "REFRESH_TOKEN_REUSED" });
    expect(browser.localStorage.kept.size).toBe(0);
  });
});

describe("two tabs", () => {
  it("sign in and out together", async () => {
    const first = open();
    const second = open();
    await first.signIn("salon@example.com", "rahasia-2026");
    expect(second.identity?.subject).toBe("p1");
    await second.signOut();
    expect(first.identity).toBeUndefined();
  });

  it("change to another account together", async () => {
    const first = open();
    const second = open();
    await first.signIn("salon@example.com", "rahasia-2026");
    hub.subject = "p2";
    await second.signIn("other@example.com", "rahasia-2026");
    expect(first.identity?.subject).toBe("p2");
  });
});

describe("a shadow session", () => {
  const claims = { role: "partner", sub: "p9", act: { sub: "agent" } };
  const token = (payload: object) => `x.${btoa(JSON.stringify(payload))}.y`;

  it("belongs to one tab and survives its reload", async () => {
    const tab = browser.tab();
    const session = open(tab);
    session.adoptShadow(token(claims));
    expect(session.identity).toEqual({ subject: "p9", role: "partner", isShadow: true });
    expect(browser.localStorage.kept.size).toBe(0);
    const reloaded = open(tab);
    await reloaded.restore();
    expect(reloaded.identity?.isShadow).toBe(true);
  });

  it("is never refreshed: it ends", async () => {
    const session = open();
    session.adoptShadow(token(claims));
    hub.refusal = { status: 401, code: "PGRST303" };
    await read(session);
    expect(session.state).toEqual({ status: "signed-out", reason: "SHADOW_ENDED" });
    expect(hub.paths()).not.toContain("/rpc/refresh_session");
  });

  it("leaves the person's own session in other tabs alone", async () => {
    const own = open();
    await own.signIn("salon@example.com", "rahasia-2026");
    const session = open();
    session.adoptShadow(token(claims));
    await session.signOut();
    expect(own.identity?.subject).toBe("p1");
    expect(browser.localStorage.getItem("alfa-hub.test.refresh")).toBe("r1");
    expect(hub.paths().at(-1)).toBe("/rpc/end_shadow_session");
  });

  it.each([
    ["a partner's own token", { role: "partner", sub: "p9" }],
    ["an admin's token", { role: "admin", sub: "a", act: { sub: "agent" } }],
  ])("cannot be made of %s", (_what, payload) =>
    expect(() => open().adoptShadow(token(payload))).toThrow("no token of a shadow session"));
});
