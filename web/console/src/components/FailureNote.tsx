import { Alert, AlertTitle, Button } from "@mui/material";
import { useListContext, useRefresh } from "react-admin";

import { sentence } from "../provider/failure";
import { useWords } from "./hub";

/** What went wrong while reading, and a button that tries again. */
export function FailureNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useWords();
  const refresh = useRefresh();
  return (
    <Alert
      severity="error"
      action={
        <Button color="inherit" size="small" onClick={retry ?? refresh}>
          {t("hub.failure.retry")}
        </Button>
      }
    >
      <AlertTitle>{t("hub.failure.title")}</AlertTitle>
      {sentence(error)}
    </Alert>
  );
}

/** The same in a list, in place of "nothing found": the list is not empty, it could not be read. */
export function ListFailure() {
  const { error, refetch } = useListContext();
  return <FailureNote error={error} retry={() => void refetch()} />;
}
