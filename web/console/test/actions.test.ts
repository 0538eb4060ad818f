import { describe, expect, test } from "vitest";

import en from "../src/texts/en";
import id from "../src/texts/id";
import {
  ACTIONS,
  type Action,
  allowed,
  endOfDay,
  entered,
  INVOICE_ACTIONS,
  Keys,
  ORDER_ACTIONS,
  QUEUE_ACTIONS,
  returnedItems,
  reversedIds,
  shown,
  subjectOf,
  unbilled,
} from "../src/actions/actions";

const order = {
  id: "o1",
  status: "APPROVED",
  grand_total: 1000,
  allowed_actions: ["ship_order", "reroute_order", "reject_order"],
  invoices: [
    { amount: 600, status: "UNPAID" },
    { amount: 1000, status: "CANCELLED" },
  ],
};

describe("actions of an order", () => {
  test("are those that the row allows, and billing what is not billed", () => {
    expect(allowed(ORDER_ACTIONS, order, "admin")).toEqual(["issue_invoice", "reroute_order", "reject_order"]);
  });

  test("ship it once it is billed in full", () => {
    const billed = { ...order, invoices: [{ amount: 1000, status: "UNPAID" }] };
    expect(allowed(ORDER_ACTIONS, billed, "admin")).toEqual(["ship_order", "reroute_order", "reject_order"]);
  });

  test("are none for agents, whatever the row says", () => {
    expect(allowed(ORDER_ACTIONS, order, "agent")).toEqual([]);
  });

  test("unbilled counts live invoices alone", () => {
    expect(unbilled(order)).toBe(400);
    expect(unbilled({ grand_total: 0.3, invoices: [{ amount: 0.1, status: "PAID" }] })).toBe(0.2);
  });
});

describe("actions of an invoice", () => {
  const at = (row: object) => allowed(INVOICE_ACTIONS, { amount_written_off: 0, refund_due: 0, ...row }, "admin");

  test("follow its state", () => {
    expect(at({ status: "UNPAID" })).toEqual(["record_payment", "write_off", "cancel_invoice"]);
    expect(at({ status: "PARTIAL", amount_written_off: 5 })).toEqual(["record_payment", "cancel_invoice"]);
    expect(at({ status: "PAID", refund_due: 10 })).toEqual(["record_refund", "cancel_invoice"]);
    expect(at({ status: "CANCELLED" })).toEqual([]);
  });

  test("take a payment back once", () => {
    const payments = [
      { id: "a", kind: "PAYMENT" },
      { id: "b", kind: "REVERSAL", reverses_payment_id: "a" },
    ];
    expect(reversedIds(payments)).toEqual(new Set(["a"]));
    expect(allowed(["reverse_payment"], { kind: "PAYMENT", is_reversed: true }, "admin")).toEqual([]);
    expect(allowed(["reverse_payment"], { kind: "REFUND" }, "admin")).toEqual([]);
    expect(allowed(["reverse_payment"], { kind: "PAYMENT" }, "admin")).toEqual(["reverse_payment"]);
  });
});

describe("arguments", () => {
  test("of a payment are numbers and moments; what is left out is not sent", () => {
    const action: Action = ACTIONS.record_payment;
    const values = entered(action.inputs, { amount: "1000", reference_number: " BCA 1 ", paid_at: "2026-11-27", notes: "" });
    expect(action.args({ id: "i1" }, values, "k")).toEqual({
      invoice_id: "i1",
      amount: 1000,
      reference_number: "BCA 1",
      paid_at: "2026-11-27T00:00:00+07:00",
      idempotency_key: "k",
    });
  });

  test("of a dialog follow the row until something is entered", () => {
    const { inputs }: Action = ACTIONS.issue_invoice;
    const order = { grand_total: 608_400, invoices: [{ status: "UNPAID", amount: 304_200 }] };
    expect(shown(inputs, { ...order, invoices: [] }, {})).toEqual({ amount: 608_400, due_date: "", reason: "" });
    expect(shown(inputs, order, { reason: "Rest" })).toEqual({ amount: 304_200, due_date: "", reason: "Rest" });
    expect(shown(inputs, order, { amount: "1000" }).amount).toBe("1000");
    expect(shown(inputs, order, { amount: "" }).amount).toBe("");
  });

  test("of a due date last until the end of the day in Jakarta", () => {
    expect(endOfDay("2026-12-31")).toBe("2026-12-31T23:59:00+07:00");
    expect(endOfDay("")).toBeUndefined();
  });

  test("of a return name the lines with units", () => {
    expect(returnedItems({ "SKU-1": "2", "SKU-2": "0", "SKU-3": "" })).toEqual([{ sku: "SKU-1", quantity: 2 }]);
  });

  test("keep the key while the values are the same", () => {
    let made = 0;
    const keys = new Keys(() => String(++made));
    const first = keys.of({ amount: 1 });
    expect(keys.of({ amount: 1 })).toBe(first);
    expect(keys.of({ amount: 2 })).not.toBe(first);
    expect(keys.of({ amount: 1 })).toBe(first);
  });
});

describe("the work queue", () => {
  test.each(Object.entries(QUEUE_ACTIONS))("%s offers what its kind asks for", (kind, names) => {
    const item = { kind, subject_id: "s1", order_id: "o1", amount: 5 };
    for (const name of names) {
      const row = subjectOf(item, name);
      expect(allowed([name], row, "admin")).toEqual([name]);
      expect(row.id).toBe((ORDER_ACTIONS as readonly string[]).includes(name) ? "o1" : "s1");
    }
  });
});

test.each([
  ["id", id],
  ["en", en],
])("each action has its texts in %s", (_language, texts) => {
  const known = texts.hub.action as Record<string, { label: string; about: string; done: string }>;
  for (const [name, action] of Object.entries(ACTIONS as Record<string, Action>)) {
    const text = known[action.call === "advance_redemption" ? name : action.call];
    expect(text?.label && text.about && text.done, name).toBeTruthy();
  }
});
