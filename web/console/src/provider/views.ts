import type { Api } from "@alfa-hub/common/client";
import type { SortPayload } from "react-admin";

/** Name of a view of the API, and of the console's resource. */
export type ViewName = keyof Api["Views"] & string;

/** A condition of a list: column, operator of PostgREST, value. */
export type Condition = [column: string, operator: string, value: unknown];

/** How the console reads a view. */
export interface View {
  /** Columns and embedded rows of the list. */
  list: string;
  /** The same for one row, when it shows more. */
  one?: string;
  /** What the search field looks for: the words are in any of these columns. */
  search?: string[];
  /** Conditions of a search that the words alone decide; undefined: use `search`. */
  find?: (words: string) => Condition[] | undefined;
  /** True: count all rows. Left out for lists that grow without end, which are paged without a total. */
  isCounted?: boolean;
  /** Unique columns that complete an order; `id` unless the view has another. */
  tieBreak?: string;
  /** Calls by which agents read the whole view in an order: as fast for few partners as for many. */
  agentLists?: AgentList[];
}

/** A call that takes `n` and `after`, the id of the last row of the page before, and returns rows of a view. */
export interface AgentList {
  sort: SortPayload;
  call: keyof Api["Functions"] & string;
}

const NEWEST: SortPayload = { field: "created_at", order: "DESC" };
const PARTNER = "partners(business_name)";

/** The number of an order or invoice, in any case and with blanks around. Finds by an index. */
function byNumber(column: string, prefix: string): (words: string) => Condition[] {
  return (words) => {
    const text = words.trim().toUpperCase();
    const number = text.startsWith(`${prefix}-`) ? text : `${prefix}-${text}`;
    return /^[A-Z]+-\d{6}-\d{6}$/.test(number)
      ? [[column, "eq", number]]
      : [["partners.business_name", "ilike", `%${escapeLike(words.trim())}%`]];
  };
}

/** Take the meaning from the wildcards of LIKE. `*` is one for PostgREST and cannot be escaped: any character. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&").replaceAll("*", "_");
}

const ORDER_ONE = [
  "*",
  "partners(business_name,phone,tier,address,credit_limit,credit_used)",
  "sub_distributors(business_name,whatsapp_number,status)",
  "staff!agent_id(full_name)",
  "order_items(*,products(sku,name))",
  "order_events(*,staff(full_name))",
  "invoices(*)",
  "credit_notes(*,credit_note_items(quantity,amount,order_items(products(sku,name))))",
].join(",");

const INVOICE_ONE = [
  "*",
  "partners(business_name)",
  "orders(order_number,status)",
  "invoice_payments(*)",
  "invoice_credits(amount,credit_notes(credit_note_number,reason,created_at))",
].join(",");

/** The views of the console. */
export const VIEWS = {
  agent_sessions: { list: `*,agents(full_name),${PARTNER}` },
  agents: { list: "*,regions(name)", search: ["full_name", "email"], isCounted: true },
  audit_logs: { list: "*" },
  brands: { list: "*", search: ["name"], isCounted: true },
  categories: { list: "*", search: ["name", "slug"], isCounted: true },
  credit_notes: {
    list: `*,orders(order_number,${PARTNER})`,
    search: ["credit_note_number", "reason"],
    agentLists: [{ sort: NEWEST, call: "newest_credit_notes" }],
  },
  erp_quarantine: { list: "*" },
  inventory: {
    list: "*,products!inner(sku,name,is_active,stock_stale)",
    find: (words) => [
      [/^[\w-]+$/.test(words) && /\d/.test(words) ? "products.sku" : "products.name", "ilike", `%${escapeLike(words.trim())}%`],
    ],
    isCounted: true,
  },
  invoice_payments: { list: `*,invoices(invoice_number,${PARTNER})`, agentLists: [{ sort: NEWEST, call: "newest_payments" }] },
  invoices: {
    list: `*,${PARTNER},orders(order_number)`,
    one: INVOICE_ONE,
    find: byNumber("invoice_number", "INV"),
    agentLists: [
      { sort: NEWEST, call: "newest_invoices" },
      { sort: { field: "due_date", order: "ASC" }, call: "earliest_due_invoices" },
    ],
  },
  job_health: { list: "*", isCounted: true },
  messages: { list: "*,orders(order_number)" },
  order_items: { list: "*,products(sku,name)" },
  orders: {
    list: `*,${PARTNER},sub_distributors(business_name)`,
    one: ORDER_ONE,
    find: byNumber("order_number", "ORD"),
    agentLists: [{ sort: NEWEST, call: "newest_orders" }],
  },
  overdue_invoices: { list: "*" },
  partner_statistics: { list: "*" },
  partners: { list: "*,regions(name)", search: ["business_name", "email", "phone"], isCounted: true },
  point_transactions: { list: `*,${PARTNER},orders(order_number),invoices(invoice_number)` },
  product_master: { list: "*" },
  products: {
    list: "*,brands(name),categories(name)",
    search: ["sku", "name"],
    isCounted: true,
  },
  receivables_by_age: { list: "*" },
  receivables: { list: "*", search: ["business_name"], isCounted: true },
  redemption_catalog: { list: "*", search: ["name"], isCounted: true },
  redemptions: { list: `*,${PARTNER},redemption_catalog(name)` },
  regions: { list: "*", search: ["name", "code"], isCounted: true },
  sla_escalation_logs: {
    list: "*,orders!inner(order_number,status,awaiting,awaiting_since,partners(business_name),sub_distributors(business_name))",
  },
  staff: { list: "*", search: ["full_name"], isCounted: true },
  sub_distributors: {
    list: "*,regions(name)",
    search: ["business_name", "contact_person", "whatsapp_number"],
    isCounted: true,
  },
  system_config_history: { list: "*" },
  system_configs: { list: "*", search: ["config_key", "description"], isCounted: true },
  tier_prices: { list: "*,products(sku,name)" },
  work_queue: { list: "*", isCounted: true },
} satisfies Partial<Record<ViewName, View>>;

/** The specification of a view. Raises for a name that the console does not know. */
export function viewOf(name: string): View {
  const view: View | undefined = (VIEWS as Record<string, View>)[name];
  if (!view) throw new Error(`The console does not read the view ${name}`);
  return view;
}
