import { Button } from "@mui/material";
import { useSetLocale } from "react-admin";

import { useWords } from "./hub";

/** The other language. */
export function LanguageButton() {
  const { language, t } = useWords();
  const setLocale = useSetLocale();
  const other = language === "id" ? "en" : "id";
  return (
    <Button color="inherit" size="small" lang={other} onClick={() => void setLocale(other)}>
      {t(`hub.language.${other}`)}
    </Button>
  );
}
