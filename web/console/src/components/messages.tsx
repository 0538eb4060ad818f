import { Alert, AlertTitle, Box, Button } from "@mui/material";
import { Title } from "react-admin";
import { Link } from "react-router-dom";

import { useWords } from "./hub";

function Message({ title, text }: { title: string; text: string }) {
  const { t } = useWords();
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={title} />
      <Alert
        severity="warning"
        action={
          <Button component={Link} to="/" color="inherit" size="small">
            {t("hub.menu.home")}
          </Button>
        }
      >
        <AlertTitle>{title}</AlertTitle>
        {text}
      </Alert>
    </Box>
  );
}

export function NotFound() {
  const { t } = useWords();
  return <Message title={t("ra.page.not_found")} text={t("ra.message.not_found")} />;
}

export function AccessDenied() {
  const { t } = useWords();
  return <Message title={t("ra.page.access_denied")} text={t("ra.message.access_denied")} />;
}

/** A mistake in the console itself: the page can be left or loaded again. */
export function PageError() {
  const { t } = useWords();
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={t("ra.page.error")} />
      <Alert
        severity="error"
        action={
          <Button color="inherit" size="small" onClick={() => location.reload()}>
            {t("ra.action.refresh")}
          </Button>
        }
      >
        {t("ra.message.error")}
      </Alert>
    </Box>
  );
}
