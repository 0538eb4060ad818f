import { ACCOUNT_FIELDS } from "@alfa-hub/common/account_fields";
import { Alert, Button, Stack, TextField } from "@mui/material";
import type { ReactNode } from "react";

interface FieldProps {
  kind: keyof typeof ACCOUNT_FIELDS;
  label: string;
  autoFocus?: boolean;
  value: string;
  onText: (text: string) => void;
}

/** A field of a form about an account; browsers fill it in by its kind. */
export function AccountField({ kind, onText, ...field }: FieldProps) {
  const { minLength, ...known } = ACCOUNT_FIELDS[kind];
  return (
    <TextField
      required
      {...known}
      {...field}
      onChange={(event) => onText(event.target.value)}
      slotProps={{ htmlInput: { minLength } }}
    />
  );
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
