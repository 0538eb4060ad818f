import { useTranslate } from "react-admin";

import { type Failure, toFailure } from "../provider/failure";
import { useWords } from "./hub";

/** A function that puts an error into words of the reader's language. */
export function useFail(): (error: unknown) => Failure {
  const { language } = useWords();
  const translate = useTranslate();
  return (error) => toFailure(error, language, (code) => ownText(code, translate));
}

/** Sentences of codes that only the console knows. */
export function ownText(code: string, translate: (key: string) => string): string | undefined {
  return code === "NOT_STAFF" ? translate("hub.login.not_staff") : undefined;
}
