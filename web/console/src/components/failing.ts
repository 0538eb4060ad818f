import { ApiError } from "@alfa-hub/common/errors";
import { useState } from "react";
import { useTranslate } from "react-admin";

import { Failure, sentence, toFailure } from "../provider/failure";
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

/**
 * The call of a form: a second submission while it runs does nothing, and a refusal is kept until the next one. What
 * is raised before the call, such as for an input that is not valid, is shown by its message.
 */
export function useSubmit() {
  const fail = useFail();
  const [failure, setFailure] = useState<Failure>();
  const [isSending, setSending] = useState(false);
  const submit = async (work: () => Promise<void>) => {
    if (isSending) return;
    setSending(true);
    setFailure(undefined);
    try {
      await work();
    } catch (error) {
      const isRefusal = error instanceof Failure || error instanceof ApiError;
      setFailure(
        isRefusal ? fail(error) : new Failure(sentence(error), 0, { code: "", details: "", isUnanswered: false }),
      );
    } finally {
      setSending(false);
    }
  };
  return { failure, isSending, submit };
}
