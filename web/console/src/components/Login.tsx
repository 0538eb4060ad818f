import { ApiError } from "@alfa-hub/common/errors";
import { Alert, Box, Button, Link, Stack, TextField, Typography } from "@mui/material";
import { useState } from "react";

import { signIn } from "../provider/authProvider";
import { AccountField, AccountForm } from "./AccountForm";
import { useFail, useSubmit } from "./failing";
import { useHub, useWords } from "./hub";
import { LanguageButton } from "./LanguageButton";

/** Sign in, or set a password with a code. */
export function Login({ reason }: { reason?: string }) {
  const { t } = useWords();
  const fail = useFail();
  const [isReset, setReset] = useState(false);
  const [note, setNote] = useState("");
  const ended = reason && reason !== "SIGNED_OUT" ? fail(new ApiError(401, reason, "")).message : "";
  return (
    <Box component="main" sx={{ minHeight: "100vh", display: "flex", alignItems: "center", justifyContent: "center", bgcolor: "#f4f1f6", p: 2 }}>
      <Box sx={{ bgcolor: "background.paper", p: 4, borderRadius: 2, boxShadow: 3, width: 420, maxWidth: "100%" }}>
        <Stack direction="row" sx={{ justifyContent: "space-between", alignItems: "flex-start", mb: 2 }}>
          <Typography component="h1" variant="h5">
            {t(isReset ? "hub.login.reset_title" : "hub.login.title")}
          </Typography>
          <LanguageButton />
        </Stack>
        {ended && !note ? (
          <Alert severity="info" sx={{ mb: 2 }}>
            {ended}
          </Alert>
        ) : null}
        {note ? (
          <Alert severity="success" sx={{ mb: 2 }}>
            {note}
          </Alert>
        ) : null}
        {isReset ? (
          <Reset
            done={() => {
              setNote(t("hub.login.changed"));
              setReset(false);
            }}
          />
        ) : (
          <SignIn />
        )}
        <Link component="button" type="button" variant="body2" sx={{ mt: 2 }} onClick={() => setReset(!isReset)}>
          {t(isReset ? "hub.login.back" : "hub.login.forgot")}
        </Link>
      </Box>
    </Box>
  );
}

function SignIn() {
  const { t } = useWords();
  const { session } = useHub();
  const [values, setValues] = useState({ email: "", password: "" });
  const { failure, isSending, submit } = useSubmit();
  return (
    <AccountForm
      confirm={t("ra.auth.sign_in")}
      failure={failure?.message ?? ""}
      isSending={isSending}
      onSubmit={() => void submit(() => signIn(session, values.email.trim(), values.password))}
    >
      <AccountField
        kind="email"
        label={t("ra.auth.email")}
        autoFocus
        value={values.email}
        onText={(email) => setValues({ ...values, email })}
      />
      <AccountField
        kind="password"
        label={t("ra.auth.password")}
        value={values.password}
        onText={(password) => setValues({ ...values, password })}
      />
    </AccountForm>
  );
}

function Reset({ done }: { done: () => void }) {
  const { t } = useWords();
  const { session } = useHub();
  const [values, setValues] = useState({ email: "", token: "", password: "" });
  const [sent, setSent] = useState("");
  const { failure, isSending, submit } = useSubmit();
  const send = () =>
    submit(async () => {
      const { minutes } = await session.call<{ minutes: number }>("request_password_reset", { email: values.email.trim() });
      setSent(t("hub.login.code_sent", { minutes }));
    });
  const reset = () =>
    submit(async () => {
      await session.call("reset_password", { token: values.token.trim(), new_password: values.password });
      done();
    });
  return (
    <AccountForm
      confirm={t("hub.login.set")}
      failure={failure?.message ?? ""}
      isSending={isSending}
      onSubmit={() => void reset()}
    >
      <Typography variant="body2">{t("hub.login.reset_about")}</Typography>
      <Stack direction="row" sx={{ gap: 1 }}>
        <TextField
          size="small"
          label={t("ra.auth.email")}
          type="email"
          value={values.email}
          onChange={(event) => setValues({ ...values, email: event.target.value })}
          fullWidth
        />
        <Button
          variant="outlined"
          onClick={() => void send()}
          disabled={!values.email || isSending}
          sx={{ whiteSpace: "nowrap" }}
        >
          {t("hub.login.send_code")}
        </Button>
      </Stack>
      {sent ? <Alert severity="info">{sent}</Alert> : null}
      <AccountField
        kind="code"
        label={t("hub.login.code")}
        value={values.token}
        onText={(token) => setValues({ ...values, token })}
      />
      <AccountField
        kind="newPassword"
        label={t("hub.login.new_password")}
        value={values.password}
        onText={(password) => setValues({ ...values, password })}
      />
    </AccountForm>
  );
}
