import { Alert, Button, Stack, TextField, Typography } from "@mui/material";
import { type FormEvent, useState } from "react";
import { Title } from "react-admin";

import { Section } from "../components/fields";
import { useProvider, useWords } from "../components/hub";

/** Change one's own password. */
export function Account() {
  const { t } = useWords();
  const provider = useProvider();
  const [values, setValues] = useState({ current: "", next: "" });
  const [failure, setFailure] = useState("");
  const [isDone, setDone] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setFailure("");
    setDone(false);
    try {
      await provider.call("change_password", { current_password: values.current, new_password: values.next });
      setDone(true);
      setValues({ current: "", next: "" });
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <Stack sx={{ mt: 2, maxWidth: 480 }}>
      <Title title={t("hub.account.title")} />
      <Section title={t("hub.account.title")}>
        <Stack component="form" onSubmit={(event) => void submit(event)} sx={{ gap: 2 }}>
          <Typography variant="body2">{t("hub.account.about")}</Typography>
          <TextField
            label={t("hub.account.current")}
            type="password"
            autoComplete="current-password"
            required
            value={values.current}
            onChange={(event) => setValues({ ...values, current: event.target.value })}
          />
          <TextField
            label={t("hub.login.new_password")}
            type="password"
            autoComplete="new-password"
            required
            value={values.next}
            onChange={(event) => setValues({ ...values, next: event.target.value })}
            slotProps={{ htmlInput: { minLength: 10 } }}
          />
          {failure ? <Alert severity="error">{failure}</Alert> : null}
          {isDone ? <Alert severity="success">{t("hub.account.done")}</Alert> : null}
          <Button type="submit" variant="contained">
            {t("hub.login.set")}
          </Button>
        </Stack>
      </Section>
    </Stack>
  );
}
