import { ApiError } from "@alfa-hub/common/errors";
import type { Role } from "@alfa-hub/common/session";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { go } from "../route";
import { chooseLanguage, explain, language, notice, session, sessionState, signOut, t } from "../state";
import { Field, Loading, Problem, Title, useAction } from "../ui";

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
          onClick={() => chooseLanguage(code)}
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

function Brand() {
  return <p class="brand">Alfa Beauty</p>;
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
    <main class="narrow">
      <Brand />
      <Title>{t("signIn")}</Title>
      <Ended />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Field
          label={t("email")}
          type="email"
          autoComplete="username"
          required
          value={email.value}
          onText={(text) => (email.value = text)}
        />
        <Field
          label={t("password")}
          type="password"
          autoComplete="current-password"
          required
          value={password.value}
          onText={(text) => (password.value = text)}
        />
        <Problem error={action.error} />
        <button type="submit" class="primary wide" disabled={action.isRunning}>
          {action.isRunning ? t("signingIn") : t("signIn")}
        </button>
      </form>
      <p>
        <a href="#/reset">{t("forgotPassword")}</a>
      </p>
      <p>
        <a href="#/link">{t("subdistSignIn")}</a>
      </p>
      <Languages />
    </main>
  );
}

/** Set a new password: ask for a code by e-mail, then use it. An invitation's code is used the same way. */
export function ResetPassword({ code }: { code: string }) {
  const email = useSignal("");
  const token = useSignal(code);
  const password = useSignal("");
  const sent = useSignal(code !== "");
  const action = useAction();
  useEffect(() => {
    if (code) go("reset", true); // the code does not stay in the address
  }, []);
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
    <main class="narrow">
      <Brand />
      <Title>{t("newPassword")}</Title>
      {sent.value ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void reset();
          }}
        >
          <Field
            label={t("code")}
            hint={t("codeHint")}
            autoComplete="one-time-code"
            required
            value={token.value}
            onText={(text) => (token.value = text)}
          />
          <Field
            label={t("newPassword")}
            hint={t("passwordHint")}
            type="password"
            autoComplete="new-password"
            required
            minLength={10}
            value={password.value}
            onText={(text) => (password.value = text)}
          />
          <Problem error={action.error} />
          <button type="submit" class="primary wide" disabled={action.isRunning}>
            {action.isRunning ? t("sending") : t("savePassword")}
          </button>
        </form>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void request();
          }}
        >
          <p>{t("resetExplained")}</p>
          <Field
            label={t("email")}
            type="email"
            autoComplete="username"
            required
            value={email.value}
            onText={(text) => (email.value = text)}
          />
          <Problem error={action.error} />
          <button type="submit" class="primary wide" disabled={action.isRunning}>
            {action.isRunning ? t("sending") : t("sendCode")}
          </button>
          <p>
            <button type="button" class="link" onClick={() => (sent.value = true)}>
              {t("haveCode")}
            </button>
          </p>
        </form>
      )}
      <p>
        <a href="#/">{t("toSignIn")}</a>
      </p>
    </main>
  );
}

/** Sub-distributors: the link of a WhatsApp message holds a code; without one, ask for it here. */
export function LinkSignIn({ code }: { code: string }) {
  const number = useSignal("");
  const token = useSignal(code);
  const sent = useSignal(false);
  const action = useAction();
  const redeem = (value: string) =>
    action.run(async () => {
      await session.redeemLink(value.trim());
      go("", true);
    });
  useEffect(() => {
    if (!code) return;
    go("link", true); // the code does not stay in the address
    void redeem(code);
  }, []);
  const request = () =>
    action.run(async () => {
      await session.call("request_link", { whatsapp_number: number.value.trim() });
      sent.value = true;
      notice.value = t("linkSent");
    });
  if (token.value && !sent.value && action.isRunning) {
    return (
      <main class="narrow">
        <Loading />
      </main>
    );
  }
  return (
    <main class="narrow">
      <Brand />
      <Title>{t("subdistSignIn")}</Title>
      <Ended />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void (sent.value ? redeem(token.value) : request());
        }}
      >
        {sent.value ? (
          <Field
            label={t("code")}
            hint={t("linkSent")}
            autoComplete="one-time-code"
            required
            value={token.value}
            onText={(text) => (token.value = text)}
          />
        ) : (
          <Field
            label={t("whatsappNumber")}
            hint={t("whatsappHint")}
            type="tel"
            autoComplete="tel"
            required
            value={number.value}
            onText={(text) => (number.value = text)}
          />
        )}
        <Problem error={action.error} />
        <button type="submit" class="primary wide" disabled={action.isRunning}>
          {action.isRunning ? t("sending") : sent.value ? t("signIn") : t("sendCode")}
        </button>
        {!sent.value && (
          <p>
            <button type="button" class="link" onClick={() => (sent.value = true)}>
              {t("haveCode")}
            </button>
          </p>
        )}
      </form>
      <p>
        <a href="#/">{t("partnerSignIn")}</a>
      </p>
      <Languages />
    </main>
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
