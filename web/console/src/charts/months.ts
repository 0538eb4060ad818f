import type { Row } from "../actions/actions";

/** A month of a chart, as in Nov 26. */
export function monthName(month: string, language: "id" | "en"): string {
  const format = new Intl.DateTimeFormat(language === "id" ? "id-ID" : "en-GB", { month: "short", year: "2-digit", timeZone: "UTC" });
  return format.format(new Date(month));
}

/** The regions of each month added up. */
export function byMonth(rows: Row[]): { month: string; reminders: number; manager_notices: number; escalations: number }[] {
  const months = new Map<string, { month: string; reminders: number; manager_notices: number; escalations: number }>();
  for (const row of rows) {
    const sum = months.get(row.month) ?? { month: row.month, reminders: 0, manager_notices: 0, escalations: 0 };
    sum.reminders += row.reminders;
    sum.manager_notices += row.manager_notices;
    sum.escalations += row.escalations;
    months.set(row.month, sum);
  }
  return [...months.values()].sort((a, b) => a.month.localeCompare(b.month));
}
