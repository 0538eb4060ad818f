import { type Refusal, toApiError } from "./errors";

interface Answer<R> {
  data: R[] | null;
  error: Refusal | null;
  status: number;
  count?: number | null;
}

/** Rows asked for at once. The gateway may return fewer (db-max-rows): how many, the answer does not say. */
const PAGE = 10_000;

/**
 * All rows of a list, in as many requests as the gateway's limit makes of it. `read` asks for the rows from an offset
 * up to another one, both included, in an order that is unique. Without `isComplete` it must ask for the count:
 * `select(columns, { count: "exact" })`. Raises ApiError.
 */
export async function readAll<R>(
  read: (from: number, to: number) => PromiseLike<Answer<R>>,
  isComplete?: (rows: R[]) => boolean | Promise<boolean>,
): Promise<R[]> {
  const rows: R[] = [];
  for (;;) {
    const { data, error, status, count } = await read(rows.length, rows.length + PAGE - 1);
    // Rows went while they were read: there is no such page any more.
    if (error && status === 416) return rows;
    if (error) throw toApiError(error, status);
    const page = data ?? [];
    rows.push(...page);
    if (!page.length || (isComplete ? await isComplete(rows) : rows.length >= (count ?? 0))) return rows;
  }
}
