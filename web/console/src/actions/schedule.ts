import type { Row } from "./actions";

/** A period of a tier's price, as the view tier_prices has it. Times are ISO; no end: open. */
export interface Period {
  id: string;
  product_id: string;
  tier: string;
  price: number;
  min_qty_discount: number | null;
  discount_price: number | null;
  effective_from: string;
  effective_until: string | null;
}

export type PeriodState = "ended" | "running" | "scheduled";

const at = (time: string) => Date.parse(time);
const end = (period: Pick<Period, "effective_until">) =>
  period.effective_until === null ? Number.POSITIVE_INFINITY : at(period.effective_until);

export function stateOf(period: Period, now: number): PeriodState {
  if (end(period) <= now) return "ended";
  return at(period.effective_from) <= now ? "running" : "scheduled";
}

/** One tier's periods, earliest first. */
export function ofTier(rows: Row[], tier: string): Period[] {
  return (rows as Period[])
    .filter((row) => row.tier === tier)
    .sort((a, b) => at(a.effective_from) - at(b.effective_from));
}

/** A new price of a tier. */
export type NewPrice = Pick<
  Period,
  "product_id" | "tier" | "price" | "min_qty_discount" | "discount_price" | "effective_from"
>;

const written = ({ id, product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until }: Period) => ({
  id,
  product_id,
  tier,
  price,
  min_qty_discount,
  discount_price,
  effective_from,
  effective_until,
});

/**
 * The rows to upsert so that `price` applies from its moment on: the period of that moment ends there, and the new
 * one lasts until the next begins. One request, so there is never a gap or an overlap. A scheduled period that
 * begins at the same moment is replaced. `before`: rows of this tier.
 */
export function schedule(before: Period[], price: NewPrice, id: string): Period[] {
  const moment = at(price.effective_from);
  const same = before.find((period) => at(period.effective_from) === moment);
  if (same) return [written({ ...same, ...price })];
  const cut = before.find((period) => at(period.effective_from) < moment && moment < end(period));
  const next = before.find((period) => at(period.effective_from) > moment);
  const added = { ...price, id, effective_until: next?.effective_from ?? cut?.effective_until ?? null };
  return [
    ...(cut ? [written({ ...cut, effective_until: price.effective_from })] : []),
    written(added as Period),
  ];
}

/**
 * The rows to upsert so that a scheduled price does not come into force: its period takes the price of the one that
 * it follows. Undefined when it follows none: then it is deleted, and the base price goes on to apply.
 */
export function unschedule(before: Period[], period: Period): Period[] | undefined {
  const previous = before.find((other) => other.id !== period.id && end(other) === at(period.effective_from));
  if (!previous) return undefined;
  const { price, min_qty_discount, discount_price } = previous;
  return [written({ ...period, price, min_qty_discount, discount_price })];
}

/** A stretch of the timeline: a tier's price, or the base price where the tier has none (`period` undefined). */
export interface Stretch {
  from: number;
  until: number;
  period?: Period;
}

/** The timeline between two moments, without a hole: what applies when. */
export function timeline(periods: Period[], from: number, until: number): Stretch[] {
  const stretches: Stretch[] = [];
  let moment = from;
  for (const period of periods) {
    const begins = Math.max(from, at(period.effective_from));
    const ends = Math.min(until, end(period));
    if (ends <= begins) continue;
    if (begins > moment) stretches.push({ from: moment, until: begins });
    stretches.push({ from: begins, until: ends, period });
    moment = ends;
  }
  if (moment < until) stretches.push({ from: moment, until });
  return stretches;
}
