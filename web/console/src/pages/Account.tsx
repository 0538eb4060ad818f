import { Alert, Stack, Typography } from "@mui/material";
import { useState } from "react";
import { Title } from "react-admin";

import { AccountField, AccountForm } from "../components/AccountForm";
import { useSubmit } from "../components/failing";
import { Section } from "../components/fields";
import { useProvider, useWords } from "../components/hub";

/** Change one's own password. */
export function Account() {
  const { t } = useWords();
  const provider = useProvider();
  const [values, setValues] = useState({ current: "", next: "" });
  const [isDone, setDone] = useState(false);
  const { failure, isSending, submit } = useSubmit();
  const change = () =>
    submit(async () => {
      setDone(false);
      await provider.call("change_password", { current_password: values.current, new_password: values.next });
      setDone(true);
      setValues({ current: "", next: "" });
    });
  return (
    <Stack sx={{ mt: 2, maxWidth: 480 }}>
      <Title title={t("hub.account.title")} />
      <Section title={t("hub.account.title")}>
        <AccountForm
          confirm={t("hub.login.set")}
          failure={failure?.message ?? ""}
          isSending={isSending}
          onSubmit={() => void change()}
        >
          <Typography variant="body2">{t("hub.account.about")}</Typography>
          <AccountField
            kind="password"
            label={t("hub.account.current")}
            value={values.current}
            onText={(current) => setValues({ ...values, current })}
          />
          <AccountField
            kind="newPassword"
            label={t("hub.login.new_password")}
            value={values.next}
            onText={(next) => setValues({ ...values, next })}
          />
          {isDone ? <Alert severity="success">{t("hub.account.done")}</Alert> : null}
        </AccountForm>
      </Section>
    </Stack>
  );
}
