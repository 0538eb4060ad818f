/** The service-level clock of an order that waits for the sub-distributor. */
export interface Clock {
  /** Milliseconds that it has waited. */
  waited: number;
  /** Milliseconds until headquarters is notified, below 0 when they were. */
  left: number;
  level: "ok" | "soon" | "late";
}

const HOUR = 3_600_000;

/** Read the clock at `now`; `reminder` and `escalation` are hours (configs sla.reminder_hours, sla.escalation_hours). */
export function readClock(since: string, now: number, reminder: number, escalation: number): Clock {
  const waited = Math.max(0, now - Date.parse(since));
  const left = escalation * HOUR - waited;
  return { waited, left, level: left <= 0 ? "late" : waited >= reminder * HOUR ? "soon" : "ok" };
}
