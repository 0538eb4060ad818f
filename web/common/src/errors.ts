import { fill } from "./i18n";

/**
 * A call that failed. `code` is the hub's, PostgreSQL's or the gateway's, or one of these:
 * NETWORK: no answer came, and whether the call was carried out is unknown; UNAVAILABLE: the hub is down.
 */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details = "",
    readonly hint = "",
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Seconds to wait after 429. The header cannot be read across origins, so `details` repeats it. */
  get retryAfter(): number | undefined {
    const found = /retry_after: (\d+)/.exec(this.details);
    return found ? Number(found[1]) : undefined;
  }

  /** True when the call may have been carried out although no answer came. */
  get isUnanswered(): boolean {
    return this.code === "NETWORK" || this.code === "UNAVAILABLE";
  }
}

/** The body of a refusal; all fields can be missing when a proxy answered. */
export interface Refusal {
  message?: string | null;
  code?: string | null;
  details?: string | null;
  hint?: string | null;
}

/** Make an ApiError of a refusal and its HTTP status, 0 when there was no answer. */
export function toApiError(refusal: Refusal, status: number): ApiError {
  const message = refusal.message ?? "";
  if (status === 0) return new ApiError(0, "NETWORK", message);
  // PostgREST answers 400 with an empty code when the database's connection ended in the middle.
  if (status >= 500 || (status === 400 && refusal.code === "")) return new ApiError(status, "UNAVAILABLE", message, refusal.details ?? "");
  return new ApiError(
    status,
    refusal.code || `HTTP_${status}`,
    message,
    refusal.details ?? "",
    refusal.hint ?? "",
  );
}

/** Make an ApiError of whatever a call raised. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, "NETWORK", error instanceof Error ? error.message : String(error));
}

interface Answer {
  data: unknown;
  error: Refusal | null;
  status: number;
}

/**
 * The data of an answer of postgrest-js, which returns refusals instead of raising them.
 * Raises ApiError.
 */
export async function unwrap<A extends Answer>(
  request: PromiseLike<A>,
): Promise<Extract<A, { error: null }>["data"]> {
  const { data, error, status } = await request;
  if (error) throw toApiError(error, status);
  return data;
}

/** What went wrong and what to do; `texts` are those of web/common in the reader's language, or hold them. */
export function errorText(error: unknown, texts: Record<string, string>): string {
  const { code, status, message, retryAfter } = asApiError(error);
  const text =
    texts[`error.${code}`] ??
    (code.startsWith("PGRST10") && status === 416 ? texts["error.PGRST103"] : undefined) ??
    texts[`error.${status}`] ??
    fill(texts["error.unknown"] ?? "{message}", { message: message || code });
  return fill(text, { minutes: Math.max(1, Math.ceil((retryAfter ?? 60) / 60)) });
}
