import { ACCOUNT_FIELDS } from "@alfa-hub/common/account_fields";
import { ApiError } from "@alfa-hub/common/errors";
import type { Role } from "@alfa-hub/common/session";
import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

import { go } from "../route";
import { chooseLanguage, explain, language, session, sessionState, signOut, t } from "../state";
import { Field, type FieldProps, Form, Loading, Title, useAction } from "../ui";

export function Languages() {
  return (
    <div class="languages" role="group" aria-label="Bahasa / Language">
      {(["id", "en"] as const).map((code) => (
        <button
          key={code}
          type="button"
          class="plain"
          lang={code}
          aria-pressed={language.value === code}
          onClick={() => void chooseLanguage(code)}
        >
          {code === "id" ? "Indonesia" : "English"}
        </button>
      ))}
    </div>
  );
}

/** Why the session ended, unless the person did it. */
function Ended() {
  const state = sessionState.value;
  const reason = state.status === "signed-out" ? state.reason : undefined;
  if (!reason || reason === "SIGNED_OUT") return null;
  return (
    <p class="hint" role="alert">
      {explain(new ApiError(401, reason, ""))}
    </p>
  );
}

/** A page for a person who is not signed in. */
function Entrance({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <main class="narrow">
      <p class="brand">Alfa Beauty</p>
      <Title>{title}</Title>
      {children}
    </main>
  );
}

/** A field that must be filled in, whose text is a signal. */
function Entry({ text, ...field }: { text: Signal<string> } & Omit<FieldProps, "value" | "onText">) {
  return <Field required {...field} value={text.value} onText={(typed) => (text.value = typed)} />;
}

function EmailEntry({ text }: { text: Signal<string> }) {
  return <Entry label={t("email")} {...ACCOUNT_FIELDS.email} text={text} />;
}

function CodeEntry({ text, hint }: { text: Signal<string>; hint: string }) {
  return <Entry label={t("code")} hint={hint} {...ACCOUNT_FIELDS.code} text={text} />;
}

/** For a person who has a code already. */
function HaveCode({ onClick }: { onClick: () => void }) {
  return (
    <p>
      <button type="button" class="link" onClick={onClick}>
        {t("haveCode")}
      </button>
    </p>
  );
}

/** Sign in with e-mail and password. A person who is a partner and staff is a partner here. */
export function SignIn() {
  const email = useSignal("");
  const password = useSignal("");
  const action = useAction();
  const submit = () =>
    action.run(async () => {
      try {
        await session.signIn(email.value.trim(), password.value);
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== "CHOOSE_ROLE") throw error;
        await session.signIn(email.value.trim(), password.value, "partner");
      }
    });
  return (
    <Entrance title={t("signIn")}>
      <Ended />
      <Form confirm={t("signIn")} running={t("signingIn")} action={action} onSubmit={() => void submit()}>
        <EmailEntry text={email} />
        <Entry label={t("password")} {...ACCOUNT_FIELDS.password} text={password} />
      </Form>
      <p>
        <a href="#/reset">{t("forgotPassword")}</a>
      </p>
      <p>
        <a href="#/link">{t("subdistSignIn")}</a>
      </p>
      <Languages />
    </Entrance>
  );
}

/** Set a new password: ask for a code by e-mail, then use it. An invitation's code is used the same way. */
export function ResetPassword({ code }: { code: string }) {
  const email = useSignal("");
  const token = useSignal(code);
  const password = useSignal("");
  const sent = useSignal(code !== "");
  const action = useAction();
  const request = () =>
    action.run(async () => {
      await session.call("request_password_reset", { email: email.value.trim() });
      sent.value = true;
    }, t("codeSent"));
  const reset = () =>
    action.run(async () => {
      await session.call("reset_password", { token: token.value.trim(), new_password: password.value });
      go("", true);
    }, t("passwordChanged"));
  return (
    <Entrance title={t("newPassword")}>
      {sent.value ? (
        <Form confirm={t("savePassword")} action={action} onSubmit={() => void reset()}>
          <CodeEntry text={token} hint={t("codeHint")} />
          <Entry label={t("newPassword")} hint={t("passwordHint")} {...ACCOUNT_FIELDS.newPassword} text={password} />
        </Form>
      ) : (
        <>
          <Form confirm={t("sendCode")} action={action} onSubmit={() => void request()}>
            <p>{t("resetExplained")}</p>
            <EmailEntry text={email} />
          </Form>
          <HaveCode onClick={() => (sent.value = true)} />
        </>
      )}
      <p>
        <a href="#/">{t("toSignIn")}</a>
      </p>
    </Entrance>
  );
}

/** Sub-distributors: the link of a WhatsApp message holds a code; without one, ask for it here. */
export function LinkSignIn({ code }: { code: string }) {
  const number = useSignal("");
  const token = useSignal(code);
  const sent = useSignal(false);
  const action = useAction();
  const redeem = () =>
    action.run(async () => {
      await session.redeemLink(token.value.trim());
      go("", true);
    });
  useEffect(() => {
    if (code) void redeem();
  }, []);
  const request = () =>
    action.run(async () => {
      await session.call("request_link", { whatsapp_number: number.value.trim() });
      sent.value = true;
    }, t("linkSent"));
  if (code && !sent.value && action.isRunning) {
    return (
      <main class="narrow">
        <Loading />
      </main>
    );
  }
  return (
    <Entrance title={t("subdistSignIn")}>
      <Ended />
      <Form
        confirm={sent.value ? t("signIn") : t("sendCode")}
        action={action}
        onSubmit={() => void (sent.value ? redeem() : request())}
      >
        {sent.value ? (
          <CodeEntry text={token} hint={t("linkSent")} />
        ) : (
          <Entry label={t("whatsappNumber")} hint={t("whatsappHint")} type="tel" autoComplete="tel" text={number} />
        )}
      </Form>
      {!sent.value && <HaveCode onClick={() => (sent.value = true)} />}
      <p>
        <a href="#/">{t("partnerSignIn")}</a>
      </p>
      <Languages />
    </Entrance>
  );
}

/** Staff who signed in here: their pages are the console. */
export function WrongApp({ role }: { role: Role }) {
  return (
    <main class="narrow">
      <Title>{t("wrongApp")}</Title>
      <p>{t("wrongAppExplained", { role: t(`role.${role}`) })}</p>
      <p>
        <a href="console/">{t("toConsole")}</a>
      </p>
      <button type="button" onClick={() => void signOut()}>
        {t("signOut")}
      </button>
    </main>
  );
}
