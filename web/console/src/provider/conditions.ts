import type { Condition, View } from "./views";
import { escapeLike } from "./views";

/** Filters of a list by `column@operator` or `column`; `q` is what was typed into the search field. */
export type Filters = Record<string, unknown>;

/** A list's conditions, and groups of which one must hold, in PostgREST's syntax. */
export interface Conditions {
  all: Condition[];
  any: string[];
  /** Tables whose rows must exist for the condition to be met: they are embedded as `!inner`. */
  inner: string[];
}

const OPERATORS = new Set(["eq", "neq", "gt", "gte", "lt", "lte", "ilike", "in", "is", "not.is"]);

/** A value within `or=(...)` or `in.(...)`: quoted, so that commas, dots and parentheses are text. */
export function quote(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

function isBlank(value: unknown): boolean {
  return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
}

/**
 * The conditions of a list. Each word of the search is in one of the view's columns; `is` and `in` take null, a
 * boolean and lists. Raises for an operator that does not exist.
 */
export function conditions(view: View, filters: Filters): Conditions {
  const all: Condition[] = [];
  const any: string[] = [];
  for (const [key, value] of Object.entries(filters)) {
    const [column = "", operator = "eq"] = key.split("@");
    if (key === "q") {
      const words = String(value ?? "").trim();
      if (!words) continue;
      if (view.find) all.push(...(view.find(words) ?? []));
      else if (view.search) any.push(...words.split(/\s+/).map((word) => anyColumn(view.search ?? [], word)));
      continue;
    }
    if (!OPERATORS.has(operator)) throw new Error(`There is no operator ${operator}`);
    if (operator !== "is" && operator !== "not.is" && isBlank(value)) continue;
    all.push([column, operator, value]);
  }
  const inner = all.filter(([column]) => column.includes(".")).map(([column]) => column.split(".")[0] ?? "");
  return { all, any, inner: [...new Set(inner)] };
}

function anyColumn(columns: string[], word: string): string {
  return columns.map((column) => `${column}.ilike.${quote(`%${escapeLike(word)}%`)}`).join(",");
}

/** The columns to select when rows of `inner` must exist. */
export function requireInner(select: string, inner: string[]): string {
  return inner.reduce(
    (columns, table) => columns.replace(new RegExp(`(^|,)${table}\\(`), `$1${table}!inner(`),
    select,
  );
}
