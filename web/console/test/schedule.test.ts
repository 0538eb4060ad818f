import { describe, expect, test } from "vitest";

import { ofTier, type Period, schedule, stateOf, timeline, unschedule } from "../src/actions/schedule";

function period(id: string, price: number, effective_from: string, effective_until: string | null): Period {
  return {
    id,
    product_id: "p",
    tier: "GOLD",
    price,
    min_qty_discount: null,
    discount_price: null,
    effective_from: `${effective_from}T00:00:00+07:00`,
    effective_until: effective_until && `${effective_until}T00:00:00+07:00`,
  };
}

/** The schedule after an upsert. */
function after(before: Period[], rows: Period[]): Period[] {
  const merged = new Map(before.map((row) => [row.id, row]));
  for (const row of rows) merged.set(row.id, row);
  return ofTier([...merged.values()], "GOLD");
}

function expectNoHoles(periods: Period[]): void {
  periods.slice(1).forEach((one, index) => {
    expect(one.effective_from).toBe(periods[index]?.effective_until);
  });
}

const running = period("a", 100, "2026-01-01", null);
const price = (amount: number, from: string) => ({
  product_id: "p",
  tier: "GOLD",
  price: amount,
  min_qty_discount: null,
  discount_price: null,
  effective_from: `${from}T00:00:00+07:00`,
});

describe("a new price", () => {
  test("ends the running period at the moment when it starts", () => {
    const periods = after([running], schedule([running], price(90, "2026-12-01"), "b"));
    expectNoHoles(periods);
    expect(periods.map((one) => [one.price, one.effective_until])).toEqual([
      [100, "2026-12-01T00:00:00+07:00"],
      [90, null],
    ]);
  });

  test("lasts until the next scheduled one", () => {
    const first = after([running], schedule([running], price(90, "2027-01-01"), "b"));
    const both = after(first, schedule(first, price(95, "2026-12-01"), "c"));
    expectNoHoles(both);
    expect(both.map((one) => one.price)).toEqual([100, 95, 90]);
  });

  test("splits a scheduled period", () => {
    const first = after([running], schedule([running], price(90, "2026-12-01"), "b"));
    const both = after(first, schedule(first, price(95, "2027-01-01"), "c"));
    expectNoHoles(both);
    expect(both.map((one) => one.price)).toEqual([100, 90, 95]);
    expect(both.at(-1)?.effective_until).toBeNull();
  });

  test("replaces the one that starts at the same moment", () => {
    const first = after([running], schedule([running], price(90, "2026-12-01"), "b"));
    const both = after(first, schedule(first, price(80, "2026-12-01"), "c"));
    expect(both.map((one) => one.price)).toEqual([100, 80]);
  });

  test("fills a gap up to the next period, so that none overlaps", () => {
    const before = [period("a", 100, "2026-01-01", "2026-02-01"), period("b", 90, "2027-01-01", null)];
    const rows = schedule(before, price(95, "2026-12-01"), "c");
    expect(rows).toEqual([{ ...period("c", 95, "2026-12-01", "2027-01-01") }]);
  });

  test("is the first where the tier has none", () => {
    expect(schedule([], price(95, "2026-12-01"), "c")).toEqual([period("c", 95, "2026-12-01", null)]);
  });
});

describe("a cancelled price", () => {
  test("leaves the one before it in force", () => {
    const both = after([running], schedule([running], price(90, "2026-12-01"), "b"));
    const [, scheduled] = both;
    const rows = scheduled && unschedule(both, scheduled);
    const left = after(both, rows ?? []);
    expectNoHoles(left);
    expect(left.map((one) => one.price)).toEqual([100, 100]);
  });

  test("that follows none is to be deleted", () => {
    const alone = period("b", 90, "2026-12-01", null);
    expect(unschedule([alone], alone)).toBeUndefined();
  });
});

test("a period has ended, runs or is scheduled; its last moment is not its own", () => {
  const one = period("a", 1, "2026-01-01", "2026-02-01");
  expect(stateOf(one, Date.parse("2025-12-31T23:59:59+07:00"))).toBe("scheduled");
  expect(stateOf(one, Date.parse("2026-01-01T00:00:00+07:00"))).toBe("running");
  expect(stateOf(one, Date.parse("2026-02-01T00:00:00+07:00"))).toBe("ended");
});

test("the timeline shows the base price where a tier has none", () => {
  const stretches = timeline([period("a", 1, "2026-01-02", "2026-01-03")], Date.parse("2026-01-01T00:00:00+07:00"), Date.parse("2026-01-04T00:00:00+07:00"));
  expect(stretches.map((stretch) => stretch.period?.id)).toEqual([undefined, "a", undefined]);
});
