import { Alert, Button, Dialog, DialogActions, DialogContent, DialogContentText, DialogTitle, Stack } from "@mui/material";
import { type ReactNode, useId } from "react";

import { useWords } from "./hub";
import { Numbers } from "./Numbers";

interface Props {
  title: string;
  /** What the call does. */
  about: string;
  /** On the button that sends. */
  confirm: string;
  isDangerous?: boolean;
  isSending: boolean;
  failure: string;
  maxWidth?: "xs" | "sm";
  onSubmit: () => void;
  onClose: () => void;
  /** Fields; without any, the button has the focus. */
  children?: ReactNode;
}

/** A dialog that asks for what a call needs. A refusal is shown in it, and what was entered stays. */
export function FormDialog(props: Props) {
  const { t } = useWords();
  const id = useId();
  return (
    <Dialog
      open
      onClose={props.onClose}
      onClick={(event) => event.stopPropagation()}
      aria-labelledby={`${id}-title`}
      aria-describedby={`${id}-about`}
      fullWidth
      maxWidth={props.maxWidth ?? "sm"}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          event.stopPropagation();
          props.onSubmit();
        }}
      >
        <DialogTitle id={`${id}-title`} sx={{ overflowWrap: "anywhere" }}>
          <Numbers text={props.title} />
        </DialogTitle>
        <DialogContent>
          <DialogContentText id={`${id}-about`} sx={{ mb: 2 }}>
            {props.about}
          </DialogContentText>
          <Stack sx={{ gap: 2, pt: 1 }}>
            {props.children}
            {props.failure ? <Alert severity="error">{props.failure}</Alert> : null}
          </Stack>
        </DialogContent>
        <DialogActions>
          <Button onClick={props.onClose}>{t("ra.action.cancel")}</Button>
          <Button
            type="submit"
            variant="contained"
            color={props.isDangerous ? "error" : "primary"}
            disabled={props.isSending}
            autoFocus={!props.children}
          >
            {props.confirm}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
