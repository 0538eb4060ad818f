import { newKey } from "@alfa-hub/common/keys";

/** A product and how many units of it are to be ordered. */
export interface Line {
  sku: string;
  quantity: number;
}

/**
 * What a partner is about to order.
 *
 * `key` is the idempotency key of its submission: the same basket has the same key, another one a new key. While
 * `isPending`, the basket was sent and no answer came: it cannot be changed until the same submission is answered.
 */
export interface Basket {
  lines: Line[];
  notes: string;
  points: number;
  key: string;
  isPending: boolean;
  /** The total (IDR) that the partner saw when they sent it; a higher one is refused. */
  expectedTotal?: number;
}

/** The largest quantity that the hub takes in one line. */
const MAX_QUANTITY = 100_000;

export function emptyBasket(): Basket {
  return { lines: [], notes: "", points: 0, key: newKey(), isPending: false };
}

/** Change a basket: it gets a new key. A pending one stays as it is. */
function changed(basket: Basket, change: Partial<Omit<Basket, "key" | "isPending">>): Basket {
  return basket.isPending ? basket : { ...basket, ...change, key: newKey() };
}

/** The units of a product in the basket. */
export function quantityOf(basket: Basket, sku: string): number {
  return basket.lines.find((line) => line.sku === sku)?.quantity ?? 0;
}

/** Set the units of a product; 0 removes it. */
export function withQuantity(basket: Basket, sku: string, quantity: number): Basket {
  const wanted = Math.max(0, Math.min(MAX_QUANTITY, Math.trunc(quantity) || 0));
  if (wanted === quantityOf(basket, sku)) return basket;
  const known = basket.lines.some((line) => line.sku === sku);
  const lines = known
    ? basket.lines.map((line) => (line.sku === sku ? { sku, quantity: wanted } : line))
    : [...basket.lines, { sku, quantity: wanted }];
  return changed(basket, { lines: lines.filter((line) => line.quantity > 0) });
}

/** Add the lines of an earlier order. */
export function withLines(basket: Basket, lines: Line[]): Basket {
  return lines.reduce(
    (sum, line) => withQuantity(sum, line.sku, quantityOf(sum, line.sku) + line.quantity),
    basket,
  );
}

export function withNotes(basket: Basket, notes: string): Basket {
  return notes === basket.notes ? basket : changed(basket, { notes });
}

export function withPoints(basket: Basket, points: number): Basket {
  const wanted = Math.max(0, Math.trunc(points) || 0);
  return wanted === basket.points ? basket : changed(basket, { points: wanted });
}

/** What a quote depends on: baskets with the same text have the same quote. */
export function quotedPart({ lines, points }: Basket): string {
  return JSON.stringify([lines, points]);
}

/** What submit_order is called with. A repeat has the same total, which the partner agreed to. */
export function submission(basket: Basket) {
  return {
    items: basket.lines.map(({ sku, quantity }) => ({ sku, quantity })),
    points: basket.points,
    idempotency_key: basket.key,
    ...(basket.notes.trim() ? { notes: basket.notes.trim() } : {}),
    ...(basket.expectedTotal === undefined ? {} : { expected_total: basket.expectedTotal }),
  };
}

/** What was stored as a basket, if it is one. */
export function readBasket(stored: unknown): Basket {
  const basket = emptyBasket();
  if (typeof stored !== "object" || stored === null) return basket;
  const { lines, notes, points, key, isPending, expectedTotal } = stored as Partial<Basket>;
  if (!Array.isArray(lines) || typeof key !== "string") return basket;
  const valid = lines.filter((line) => typeof line?.sku === "string" && Number.isInteger(line.quantity));
  return {
    lines: valid,
    notes: notes ?? "",
    points: points ?? 0,
    key,
    isPending: isPending === true,
    ...(typeof expectedTotal === "number" ? { expectedTotal } : {}),
  };
}

/** The units left of each SKU that an OUT_OF_STOCK names: "KRN-PRM-08: 959 left, ...". */
export function unitsLeft(details: string): Map<string, number> {
  const found = details.matchAll(/([^\s,;:]+): (\d+) left/g);
  return new Map([...found].map((match) => [match[1] ?? "", Number(match[2])]));
}
