import { Alert, Button, Stack, TextField } from "@mui/material";
import type { ReactNode } from "react";

const KINDS = {
  email: { type: "email", autoComplete: "username" },
  password: { type: "password", autoComplete: "current-password" },
  new_password: { type: "password", autoComplete: "new-password", slotProps: { htmlInput: { minLength: 10 } } },
  code: { autoComplete: "one-time-code" },
} as const;

interface FieldProps {
  kind: keyof typeof KINDS;
  label: string;
  autoFocus?: boolean;
  value: string;
  onText: (text: string) => void;
}

/** A field of a form about an account; browsers fill it in by its kind. */
export function AccountField({ kind, onText, ...field }: FieldProps) {
  return <TextField required {...KINDS[kind]} {...field} onChange={(event) => onText(event.target.value)} />;
}

interface FormProps {
  confirm: string;
  failure: string;
  isSending: boolean;
  onSubmit: () => void;
  children: ReactNode;
}

/** Fields, what went wrong, and the button. */
export function AccountForm({ confirm, failure, isSending, onSubmit, children }: FormProps) {
  return (
    <Stack
      component="form"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
      sx={{ gap: 2 }}
    >
      {children}
      {failure ? <Alert severity="error">{failure}</Alert> : null}
      <Button type="submit" variant="contained" disabled={isSending}>
        {confirm}
      </Button>
    </Stack>
  );
}
