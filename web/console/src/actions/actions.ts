import type { Role } from "@alfa-hub/common/session";

import { HEADQUARTERS, STAFF } from "../provider/authProvider";
import type { CallName } from "../provider/dataProvider";

// biome-ignore lint/suspicious/noExplicitAny: rows come with what is embedded
export type Row = Record<string, any>;
export type Values = Record<string, unknown>;

/** What a person enters for a call. */
export interface Input {
  /** Name of the input, and of the call's argument unless `args` says otherwise. */
  name: string;
  kind: "reason" | "text" | "money" | "points" | "day" | "choice" | "subdist" | "items";
  isRequired?: boolean;
  /** Value that the dialog starts with. */
  initial?: (row: Row) => unknown;
  /** Largest number. */
  max?: (row: Row) => number | undefined;
  choices?: string[];
}

/** A call of the API that a person makes for a row. */
export interface Action {
  name: string;
  call: CallName;
  /** Roles that may make it at all. */
  roles: readonly Role[];
  /** Whether the row allows it now. The API decides again. */
  isAllowed: (row: Row) => boolean;
  inputs: Input[];
  /** Arguments of the call; `key` stays the same while what was entered does. */
  args: (row: Row, values: Values, key: string) => Values;
  /** It takes something away. */
  isDangerous?: boolean;
}

const reason: Input = { name: "reason", kind: "reason", isRequired: true };

/** The calls that `allowed_actions` of an order names. */
function orderAction(name: CallName, inputs: Input[] = [], isDangerous = false): Action {
  return {
    name,
    call: name,
    roles: HEADQUARTERS,
    isAllowed: (row) => Array.isArray(row.allowed_actions) && row.allowed_actions.includes(name),
    inputs,
    args: (row, values) => ({ order_id: row.id, ...values }),
    isDangerous,
  };
}

/** A day in Jakarta as the moment at which it begins. */
export function startOfDay(day: unknown): string | undefined {
  return typeof day === "string" && day ? `${day}T00:00:00+07:00` : undefined;
}

/** The last minute of a day in Jakarta: what is due on a day is due until it ends. */
export function endOfDay(day: unknown): string | undefined {
  return typeof day === "string" && day ? `${day}T23:59:00+07:00` : undefined;
}

/** IDR of an order that no live invoice bills. */
export function unbilled(order: Row): number {
  const live = ((order.invoices ?? []) as Row[]).filter((invoice) => invoice.status !== "CANCELLED");
  const billed = live.reduce((sum, invoice) => sum + Number(invoice.amount), 0);
  return Math.max(0, Math.round((Number(order.grand_total) - billed) * 100) / 100);
}

/** Orders are shipped and completed once they are billed in full; a row without its invoices leaves it to the API. */
function billed(action: Action): Action {
  return { ...action, isAllowed: (row) => action.isAllowed(row) && (!row.invoices || unbilled(row) === 0) };
}

const isOpen = (invoice: Row) => invoice.status === "UNPAID" || invoice.status === "PARTIAL";

/** Payments that a reversal took back. */
export function reversedIds(payments: Row[]): Set<string> {
  return new Set(payments.filter((row) => row.kind === "REVERSAL").map((row) => String(row.reverses_payment_id)));
}

function redemption(status: "SHIPPED" | "DELIVERED" | "CANCELLED", from: string): Action {
  return {
    name: `redemption_${status}`,
    call: "advance_redemption",
    roles: HEADQUARTERS,
    isAllowed: (row) => row.status === from,
    inputs: [],
    args: (row) => ({ redemption_id: row.id, status }),
    isDangerous: status === "CANCELLED",
  };
}

function account(name: "invite" | "revoke_sessions", roleOf: (row: Row) => string): Action {
  return {
    name,
    call: name,
    roles: HEADQUARTERS,
    isAllowed: (row) => name === "revoke_sessions" || row.is_active === true,
    inputs: [],
    args: (row) => ({ role: roleOf(row), id: row.id }),
    isDangerous: name === "revoke_sessions",
  };
}

const AGENT_ROLES: Record<string, string> = { SALESMAN: "agent", ADMIN: "admin", SUPERADMIN: "superadmin" };

const points = (name: "adjust_points" | "expire_points"): Action => ({
  name,
  call: name,
  roles: HEADQUARTERS,
  isAllowed: (row) => name === "adjust_points" || Number(row.point_balance) > 0,
  inputs: [
    {
      name: "points",
      kind: "points",
      isRequired: true,
      max: (row) => (name === "expire_points" ? Number(row.point_balance) : undefined),
    },
    reason,
  ],
  args: (row, values, key) => ({ partner_id: row.id, ...values, idempotency_key: key }),
  isDangerous: name === "expire_points",
});

/** All actions by name. Those of orders are named as `allowed_actions` names them. */
export const ACTIONS = {
  release_order: orderAction("release_order", [reason]),
  approve_order: orderAction("approve_order"),
  reroute_order: orderAction("reroute_order", [{ name: "subdist_id", kind: "subdist", isRequired: true }]),
  ship_order: billed(orderAction("ship_order")),
  complete_order: billed(orderAction("complete_order")),
  return_items: {
    ...orderAction("return_items", [{ name: "items", kind: "items", isRequired: true }, reason]),
    args: (row, values, key) => ({ order_id: row.id, ...values, idempotency_key: key }),
  },
  reject_order: orderAction("reject_order", [reason], true),
  issue_invoice: {
    name: "issue_invoice",
    call: "issue_invoice",
    roles: HEADQUARTERS,
    isAllowed: (row) => ["APPROVED", "SHIPPED", "COMPLETED"].includes(row.status) && unbilled(row) > 0,
    inputs: [
      { name: "amount", kind: "money", isRequired: true, initial: unbilled, max: unbilled },
      { name: "due_date", kind: "day" },
      reason,
    ],
    args: (row, values, key) => ({
      order_id: row.id,
      ...values,
      due_date: endOfDay(values.due_date),
      idempotency_key: key,
    }),
  },
  record_payment: {
    name: "record_payment",
    call: "record_payment",
    roles: HEADQUARTERS,
    isAllowed: isOpen,
    inputs: [
      {
        name: "amount",
        kind: "money",
        isRequired: true,
        initial: (row) => Number(row.amount_due),
        max: (row) => Number(row.amount_due),
      },
      { name: "payment_method", kind: "choice", choices: ["TRANSFER", "CASH", "GIRO", "QRIS"], initial: () => "TRANSFER" },
      { name: "reference_number", kind: "text" },
      { name: "paid_at", kind: "day" },
      { name: "notes", kind: "text" },
    ],
    args: (row, values, key) => ({
      invoice_id: row.id,
      ...values,
      paid_at: startOfDay(values.paid_at),
      idempotency_key: key,
    }),
  },
  record_refund: {
    name: "record_refund",
    call: "record_refund",
    roles: HEADQUARTERS,
    isAllowed: (row) => Number(row.refund_due) > 0,
    inputs: [
      {
        name: "amount",
        kind: "money",
        isRequired: true,
        initial: (row) => Number(row.refund_due),
        max: (row) => Number(row.refund_due),
      },
      { name: "reference_number", kind: "text" },
      reason,
    ],
    args: (row, values, key) => ({ invoice_id: row.id, ...values, idempotency_key: key }),
  },
  write_off: {
    name: "write_off",
    call: "write_off",
    roles: HEADQUARTERS,
    isAllowed: (row) => isOpen(row) && Number(row.amount_written_off) === 0,
    inputs: [reason],
    args: (row, values) => ({ invoice_id: row.id, ...values }),
    isDangerous: true,
  },
  cancel_invoice: {
    name: "cancel_invoice",
    call: "cancel_invoice",
    roles: HEADQUARTERS,
    isAllowed: (row) => row.status !== "CANCELLED",
    inputs: [reason],
    args: (row, values) => ({ invoice_id: row.id, ...values }),
    isDangerous: true,
  },
  reverse_payment: {
    name: "reverse_payment",
    call: "reverse_payment",
    roles: HEADQUARTERS,
    isAllowed: (row) => row.kind === "PAYMENT" && !row.is_reversed,
    inputs: [reason],
    args: (row, values) => ({ payment_id: row.id, ...values }),
    isDangerous: true,
  },
  acknowledge_escalation: {
    name: "acknowledge_escalation",
    call: "acknowledge_escalation",
    roles: STAFF,
    isAllowed: (row) => !row.acknowledged_at,
    inputs: [],
    args: (row) => ({ escalation_id: row.id }),
  },
  redemption_SHIPPED: redemption("SHIPPED", "PENDING"),
  redemption_DELIVERED: redemption("DELIVERED", "SHIPPED"),
  redemption_CANCELLED: redemption("CANCELLED", "PENDING"),
  adjust_points: points("adjust_points"),
  expire_points: points("expire_points"),
  invite_partner: account("invite", () => "partner"),
  revoke_partner: account("revoke_sessions", () => "partner"),
  invite_agent: account("invite", (row) => AGENT_ROLES[row.role] ?? "agent"),
  revoke_agent: account("revoke_sessions", (row) => AGENT_ROLES[row.role] ?? "agent"),
  revoke_subdist: account("revoke_sessions", () => "subdist"),
  delete_partner: {
    name: "delete_partner",
    call: "delete_partner",
    roles: HEADQUARTERS,
    isAllowed: () => true,
    inputs: [reason],
    args: (row, values) => ({ partner_id: row.id, ...values }),
    isDangerous: true,
  },
  erase_partner: {
    name: "erase_partner",
    call: "erase_partner",
    roles: ["superadmin"],
    isAllowed: () => true,
    inputs: [reason],
    args: (row, values) => ({ partner_id: row.id, ...values }),
    isDangerous: true,
  },
} satisfies Record<string, Action>;

export type ActionName = keyof typeof ACTIONS;

/** The actions that this role may take for this row now, in the order of `names`. */
export function allowed(names: readonly ActionName[], row: Row | undefined, role: Role | undefined): ActionName[] {
  if (!row || !role) return [];
  return names.filter((name) => {
    const action: Action = ACTIONS[name];
    return action.roles.includes(role) && action.isAllowed(row);
  });
}

export const ORDER_ACTIONS = [
  "approve_order",
  "release_order",
  "issue_invoice",
  "ship_order",
  "complete_order",
  "reroute_order",
  "return_items",
  "reject_order",
] as const satisfies readonly ActionName[];

export const INVOICE_ACTIONS = [
  "record_payment",
  "record_refund",
  "write_off",
  "cancel_invoice",
] as const satisfies readonly ActionName[];

/** What each kind of row of the work queue asks for; the first is the usual answer. */
export const QUEUE_ACTIONS: Record<string, readonly ActionName[]> = {
  OVER_LIMIT: ["release_order", "reject_order"],
  UNROUTED: ["reroute_order", "approve_order", "reject_order"],
  APPROVAL: ["approve_order", "reject_order"],
  DELIVERY: ["ship_order", "reroute_order"],
  UNBILLED: ["issue_invoice"],
  REFUND: ["record_refund"],
  ESCALATION: ["acknowledge_escalation", "reroute_order"],
  REDEMPTION: ["redemption_SHIPPED", "redemption_CANCELLED"],
  MESSAGE: [],
  QUARANTINE: [],
};

/**
 * The row that an action of the work queue needs, made of the queue's row. A queue has no allowed_actions: its kind
 * says what is possible. Amounts are those that wait.
 */
export function subjectOf(item: Row, action: ActionName): Row {
  const isOfOrder = (ORDER_ACTIONS as readonly string[]).includes(action);
  return {
    id: isOfOrder ? item.order_id : item.subject_id,
    allowed_actions: [action],
    status: item.kind === "REDEMPTION" ? "PENDING" : "APPROVED",
    grand_total: item.amount,
    refund_due: item.amount,
  };
}

/** What is sent again after a lost answer has the same key; other values are another request. */
export class Keys {
  readonly #keys = new Map<string, string>();

  constructor(private readonly make: () => string) {}

  of(values: Values): string {
    const body = JSON.stringify(values);
    const known = this.#keys.get(body) ?? this.make();
    this.#keys.set(body, known);
    return known;
  }
}

/** The values of a dialog: what was entered, and else what the row suggests now. It may have been read again. */
export function shown(inputs: Input[], row: Row, given: Values): Values {
  return Object.fromEntries(inputs.map(({ name, initial }) => [name, given[name] ?? initial?.(row) ?? ""]));
}

/** What was entered, as the call takes it: blanks are left out, numbers are numbers. */
export function entered(inputs: Input[], values: Values): Values {
  return Object.fromEntries(
    inputs.flatMap((input): [string, unknown][] => {
      const value = values[input.name];
      if (value === "" || value === undefined) return [];
      if (input.kind === "money" || input.kind === "points") return [[input.name, Number(value)]];
      return [[input.name, typeof value === "string" ? value.trim() : value]];
    }),
  );
}

/** What is to be returned, as the call takes it: lines with at least one unit. */
export function returnedItems(quantities: Record<string, string>): { sku: string; quantity: number }[] {
  return Object.entries(quantities)
    .map(([sku, quantity]) => ({ sku, quantity: Number(quantity) }))
    .filter(({ quantity }) => quantity > 0);
}
