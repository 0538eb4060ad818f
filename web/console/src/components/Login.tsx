import { ApiError, asApiError } from "@alfa-hub/common/errors";
import { Alert, Box, Button, Link, Stack, TextField, Typography } from "@mui/material";
import { type FormEvent, useState } from "react";

import { signIn } from "../provider/authProvider";
import { useFail } from "./failing";
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
  const fail = useFail();
  const [values, setValues] = useState({ email: "", password: "" });
  const [failure, setFailure] = useState("");
  const [isSending, setSending] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setSending(true);
    setFailure("");
    try {
      await signIn(session, values.email.trim(), values.password);
    } catch (error) {
      setFailure(fail(error).message);
      setSending(false);
    }
  };
  return (
    <Stack component="form" onSubmit={(event) => void submit(event)} sx={{ gap: 2 }}>
      <TextField
        label={t("ra.auth.email")}
        type="email"
        autoComplete="username"
        required
        autoFocus
        value={values.email}
        onChange={(event) => setValues({ ...values, email: event.target.value })}
      />
      <TextField
        label={t("ra.auth.password")}
        type="password"
        autoComplete="current-password"
        required
        value={values.password}
        onChange={(event) => setValues({ ...values, password: event.target.value })}
      />
      {failure ? <Alert severity="error">{failure}</Alert> : null}
      <Button type="submit" variant="contained" disabled={isSending}>
        {t("ra.auth.sign_in")}
      </Button>
    </Stack>
  );
}

function Reset({ done }: { done: () => void }) {
  const { t } = useWords();
  const { session } = useHub();
  const fail = useFail();
  const [values, setValues] = useState({ email: "", token: "", password: "" });
  const [failure, setFailure] = useState("");
  const [sent, setSent] = useState("");
  const run = async (call: () => Promise<void>) => {
    setFailure("");
    try {
      await call();
    } catch (error) {
      setFailure(fail(asApiError(error)).message);
    }
  };
  const send = () =>
    run(async () => {
      const { minutes } = await session.call<{ minutes: number }>("request_password_reset", { email: values.email.trim() });
      setSent(t("hub.login.code_sent", { minutes }));
    });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      await session.call("reset_password", { token: values.token.trim(), new_password: values.password });
      done();
    });
  };
  return (
    <Stack component="form" onSubmit={submit} sx={{ gap: 2 }}>
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
        <Button variant="outlined" onClick={() => void send()} disabled={!values.email} sx={{ whiteSpace: "nowrap" }}>
          {t("hub.login.send_code")}
        </Button>
      </Stack>
      {sent ? <Alert severity="info">{sent}</Alert> : null}
      <TextField
        label={t("hub.login.code")}
        autoComplete="one-time-code"
        required
        value={values.token}
        onChange={(event) => setValues({ ...values, token: event.target.value })}
      />
      <TextField
        label={t("hub.login.new_password")}
        type="password"
        autoComplete="new-password"
        required
        value={values.password}
        onChange={(event) => setValues({ ...values, password: event.target.value })}
        slotProps={{ htmlInput: { minLength: 10 } }}
      />
      {failure ? <Alert severity="error">{failure}</Alert> : null}
      <Button type="submit" variant="contained">
        {t("hub.login.set")}
      </Button>
    </Stack>
  );
}
