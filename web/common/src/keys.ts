/** A new idempotency key. `crypto.randomUUID` exists on HTTPS and loopback only, where the pages belong. */
export function newKey(): string {
  return crypto.randomUUID();
}
