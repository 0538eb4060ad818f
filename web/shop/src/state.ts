import { createClient, type Client, type Result, type Row } from "@alfa-hub/common/client";
import { asApiError, errorText, unwrap } from "@alfa-hub/common/errors";
import { type Language, readLanguage, translator, writeLanguage } from "@alfa-hub/common/i18n";
import { readAll } from "@alfa-hub/common/rows";
import { type Identity, Session, type SessionState } from "@alfa-hub/common/session";
import commonId from "@alfa-hub/common/texts/id";
import { effect, type Signal, signal } from "@preact/signals";

import { type Basket, emptyBasket, withLines } from "./basket";
import { clearBaskets, loadBasket, saveBasket } from "./basket_store";
import type { Catalogue } from "./catalogue";
import id from "./texts/id";

export const language = signal<Language>("id");

effect(() => {
  document.documentElement.lang = language.value;
});

const texts = { id: { ...commonId, ...id }, en: { ...commonId, ...id } };

/** A text in the reader's language. */
export const t = translator(texts, () => language.value);
export type TextKey = Parameters<typeof t>[0];

/** Speak a language. English texts are fetched for who wants them: a first visit, which is Indonesian, is smaller. */
async function speak(chosen: Language): Promise<void> {
  if (chosen === "en") texts.en = (await import("./texts/english")).default;
  language.value = chosen;
}

export async function chooseLanguage(chosen: Language): Promise<void> {
  try {
    await speak(chosen);
    writeLanguage(chosen);
  } catch (error) {
    notice.value = explain(error);
  }
}

/** Speak the language that the reader chose before; Indonesian if its texts cannot be fetched. */
export async function takeUpLanguage(): Promise<void> {
  await speak(readLanguage()).catch(() => undefined);
}

/** What happened, for a moment: read aloud by screen readers. */
export const notice = signal("");

/** Milliseconds that a notice is shown. */
const NOTICE = 6_000;

effect(() => {
  if (!notice.value) return;
  const timer = setTimeout(() => (notice.value = ""), NOTICE);
  return () => clearTimeout(timer);
});

/** False while requests get no answer. */
export const isOnline = signal(true);

/** The reader's words for an error. */
export function explain(error: unknown): string {
  return errorText(error, texts[language.value]);
}

/** Stock of a product: units that can be ordered, and whether the ERP has confirmed them lately. */
export interface Stock {
  units: number;
  isStale: boolean;
}

/** The configs that the pages explain rules by. */
export type Configs = Record<string, number | string>;

/** How long a loaded catalogue is shown before stock and prices are read again, in milliseconds. */
const FRESH = 60_000;

/**
 * Everything that is known of one account. A sign-out drops the object, so that an answer which comes later is
 * written where no page looks.
 */
export class Account {
  readonly me = signal<Row<"me"> | undefined>(undefined);
  readonly basket: Signal<Basket> = signal(emptyBasket());
  readonly catalogue = signal<Catalogue | undefined>(undefined);
  readonly stock = signal<Map<string, Stock>>(new Map());
  readonly configs = signal<Configs>({});
  #loaded = 0;
  /** Whether the stored basket was read; what is stored before that would replace it. */
  #isBasketOpen = false;
  #me: Promise<void> | undefined;
  readonly #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("alfa-hub.shop.basket") : undefined;

  constructor(
    readonly client: Client,
    readonly identity: Identity,
  ) {
    if (this.#channel) this.#channel.onmessage = () => void this.readBasket();
  }

  /** The key under which the basket is stored: an agent's basket for a partner is not the partner's own. */
  get basketKey(): string {
    return this.identity.isShadow ? `shadow:${this.identity.subject}` : this.identity.subject;
  }

  /** Take up the stored basket. What was put into the new one before it was read is added. */
  async openBasket(): Promise<void> {
    const stored = await loadBasket(this.basketKey);
    this.#isBasketOpen = true;
    const early = this.basket.peek();
    if (early.isPending) await this.#keepBasket(); // it was sent under its key
    else if (early.lines.length) await this.setBasket(withLines(stored, early.lines));
    else this.basket.value = stored;
  }

  /** Follow another tab, unless the basket was changed here meanwhile: what is stored is then the older one. */
  async readBasket(): Promise<void> {
    const before = this.basket.peek();
    const stored = await loadBasket(this.basketKey);
    if (this.#isBasketOpen && this.basket.peek() === before) this.basket.value = stored;
  }

  /** Change the basket and keep it; other tabs of the account follow. */
  async setBasket(basket: Basket): Promise<void> {
    if (basket === this.basket.value) return;
    this.basket.value = basket;
    if (this.#isBasketOpen) await this.#keepBasket();
  }

  async #keepBasket(): Promise<void> {
    await saveBasket(this.basketKey, this.basket.peek());
    this.#channel?.postMessage(null);
  }

  /** Read the profile; who asks while it is read gets the same answer. */
  readMe(): Promise<void> {
    this.#me ??= unwrap(this.client.rpc("me"))
      .then((me) => {
        this.me.value = me as Row<"me">;
      })
      .finally(() => {
        this.#me = undefined;
      });
    return this.#me;
  }

  async readConfigs(): Promise<void> {
    if (Object.keys(this.configs.value).length) return;
    this.configs.value = (await unwrap(this.client.rpc("app_configs", undefined, { get: true }))) as Configs;
  }

  /** Load catalogue and stock unless they are fresh. */
  async readCatalogue(isForced = false): Promise<void> {
    if (!isForced && this.catalogue.value && Date.now() - this.#loaded < FRESH) return;
    const reading = unwrap(this.client.rpc("catalogue", undefined, { get: true })) as Promise<unknown> as Promise<Catalogue>;
    const [catalogue, stock] = await Promise.all([
      reading,
      readAll(
        (from, to) =>
          this.client.from("products").select("sku, display_stock, stock_stale").is("is_active", true).order("sku").range(from, to),
        async (rows) => {
          const read = new Set(rows.map((row) => row.sku));
          return (await reading).products.every(({ sku }) => read.has(sku));
        },
      ),
    ]);
    this.catalogue.value = catalogue;
    this.stock.value = new Map(
      stock.map((row) => [row.sku, { units: row.display_stock ?? 0, isStale: row.stock_stale ?? true }]),
    );
    this.#loaded = Date.now();
  }

  close(): void {
    this.#channel?.close();
  }
}

export type Quote = Result<"quote_order">;

export let session: Session;
export const sessionState = signal<SessionState>({ status: "starting" });
export const account = signal<Account | undefined>(undefined);
/** Why the page could not start, or undefined. */
export const startError = signal<unknown>(undefined);

/** `fetch` that notes whether requests are answered. */
const watchedFetch: typeof fetch = async (...request) => {
  try {
    const answer = await fetch(...request);
    isOnline.value = true;
    return answer;
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) isOnline.value = false;
    throw error;
  }
};

/** Begin with the session that this browser has. */
export async function start(api: string): Promise<void> {
  session = new Session({ api, app: "shop", fetch: watchedFetch });
  // Pages show at once that there is no answer, and repeat what they read themselves (useLoad).
  const client = createClient(api, session, { retry: false });
  session.subscribe((state) => {
    account.value?.close();
    account.value = undefined;
    notice.value = "";
    if (state.status === "signed-in") {
      const opened = new Account(client, state.identity);
      account.value = opened;
      void opened.openBasket();
    }
    sessionState.value = state;
  });
  await resume();
}

/** Take up the session; after a failure it can be tried again. */
export async function resume(): Promise<void> {
  startError.value = undefined;
  try {
    await session.restore();
  } catch (error) {
    startError.value = asApiError(error);
  }
}

/** Sign out at the person's wish: nothing of theirs stays in the browser. A session that expires keeps the basket. */
export async function signOut(): Promise<void> {
  const left = account.value;
  const ending = session.signOut();
  await clearBaskets(left?.identity.isShadow ? left.basketKey : undefined);
  await ending;
}
