import { asApiError, errorText } from "@alfa-hub/common/errors";
import type { Language } from "@alfa-hub/common/i18n";
import en from "@alfa-hub/common/texts/en";
import id from "@alfa-hub/common/texts/id";

/** Facts about a refusal that react-admin hands on with the error. */
export interface FailureBody {
  code: string;
  details: string;
  isUnanswered: boolean;
}

/** Someone else changed the row since it was read. */
export const CONFLICT = "CHANGED_BY_OTHERS";

/**
 * A call that failed, as react-admin takes it: a sentence for the reader, the status and the code. It does not extend
 * react-admin's HttpError, whose constructor resets the prototype of subclasses.
 */
export class Failure extends Error {
  constructor(
    text: string,
    readonly status: number,
    readonly body: FailureBody,
  ) {
    super(text);
    this.name = "Failure";
  }
}

/** What can be shown of anything that was raised. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A sentence for `code`, or undefined if only web/common knows the code. */
export type OwnText = (code: string) => string | undefined;

/** Make a Failure of whatever a call raised; what the hub says in `details` follows the sentence. */
export function toFailure(error: unknown, language: Language, own: OwnText): Failure {
  if (error instanceof Failure) return error;
  const { status, code, details, isUnanswered } = asApiError(error);
  const text = own(code) ?? errorText(error, language === "en" ? en : id);
  // A 429 and a page that does not exist are said in full; other details are names, numbers and amounts.
  const more = details && status !== 429 && status < 500 && status > 0 ? ` (${details})` : "";
  return new Failure(text + more, status, { code, details, isUnanswered });
}
