import { describe, expect, it } from "vitest";

import { readClock } from "../src/clock";
import { orderState } from "../src/order_state";
import { parseRoute } from "../src/route_path";
import en from "../src/texts/en";
import id from "../src/texts/id";

const HOUR = 3_600_000;

describe("the clock", () => {
  const since = "2026-11-27T00:00:00Z";
  const start = Date.parse(since);
  it.each([
    [0, "ok", 24],
    [17.9, "ok", 6.1],
    [18, "soon", 6],
    [24, "late", 0],
    [30, "late", -6],
  ])("after %s hours is %s", (hours, level, left) => {
    const clock = readClock(since, start + hours * HOUR, 18, 24);
    expect(clock.level).toBe(level);
    expect(clock.left / HOUR).toBeCloseTo(left);
  });

  it("is not negative when the phone's time is behind", () =>
    expect(readClock(since, start - HOUR, 18, 24).waited).toBe(0));
});

describe("an order's state in words", () => {
  const order = {
    awaiting: "NONE",
    is_over_limit: false,
    over_limit_reason: null,
    released_at: null,
  } as const;

  it.each([
    [{ status: "SUBMITTED", awaiting: "SUBDIST" }, "state.submitted"],
    [{ status: "SUBMITTED", awaiting: "HEADQUARTERS" }, "state.unrouted"],
    [{ status: "SUBMITTED", awaiting: "HEADQUARTERS", is_over_limit: true }, "state.heldLimit"],
    [
      { status: "SUBMITTED", awaiting: "HEADQUARTERS", is_over_limit: true, over_limit_reason: "OVERDUE" },
      "state.heldOverdue",
    ],
    [{ status: "SUBMITTED", awaiting: "SUBDIST", is_over_limit: true, released_at: "2026-11-27" }, "state.submitted"],
    [{ status: "PROCESSING", awaiting: "SUBDIST" }, "state.processing"],
    [{ status: "PROCESSING", awaiting: "HEADQUARTERS" }, "state.approval"],
    [{ status: "SHIPPED" }, "state.shipped"],
  ] as const)("%j is %s", (row, key) => expect(orderState({ ...order, ...row })).toBe(key));
});

describe("an address", () => {
  it.each([
    ["", "", ""],
    ["#/", "", ""],
    ["#/orders/01a2", "orders", "01a2"],
    ["#/link/a%2Fb?x=1", "link", "a/b"],
    ["#/link/%", "link", "%"],
  ])("'%s' is page '%s' with id '%s'", (hash, page, ident) => expect(parseRoute(hash)).toEqual({ page, id: ident }));
});

it("each text is there in both languages, with the same placeholders", () => {
  const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [key, text] of Object.entries(id)) {
    expect(placeholders(en[key as keyof typeof en]), key).toEqual(placeholders(text));
  }
});
