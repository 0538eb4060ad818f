/** Sentences about a refused row, of sql/functions/erp_*.sql and the Tryton adapter, and the keys of their texts. */
const SENTENCES: readonly (readonly [RegExp, string])[] = [
  [/^(?<field>\w+) is blank$/, "blank"],
  [/^(?<field>\w+) is longer than (?<most>\d+) characters$/, "long"],
  [/^(?<field>\w+) is not from (?<least>-?\d+) to (?<most>\d+)$/, "range"],
  [/^base_price is 0: /, "free"],
  [/^amount must be IDR /, "amount"],
  [/^paid_at must be /, "paid_at"],
  [/^several products have this code in Tryton \(ids (?<ids>.+)\)$/, "several"],
  [/^it has no price in Tryton$/, "unpriced"],
];

/** Why a row of the ERP was refused, in the reader's language; a reason that is not known is shown as it is. */
export function quarantineReason(reason: string, t: (key: string, values?: object) => string): string {
  for (const [pattern, key] of SENTENCES) {
    const found = pattern.exec(reason);
    if (found) return t(`hub.quarantine.${key}`, { ...found.groups });
  }
  return t(`hub.quarantine.${reason}`, { _: reason });
}
