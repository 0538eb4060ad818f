/** What a person typed for a configuration value of this kind. Raises SyntaxError for JSON that is none. */
export function configValue(before: unknown, typed: string): unknown {
  if (typeof before === "number") return Number(typed);
  if (typeof before === "string" && !/^[[{]/.test(typed.trim())) return typed.trim();
  return JSON.parse(typed);
}

/** A configuration value as a person reads and types it. */
export function configText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
