import { newKey } from "@alfa-hub/common/keys";
import { Button, MenuItem, Stack, TextField } from "@mui/material";
import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useNotify, useRefresh } from "react-admin";

import { FormDialog } from "../components/FormDialog";
import { useSubmit } from "../components/failing";
import { useProvider, useRole, useWords } from "../components/hub";
import { heldPress } from "../components/press";
import { useAllRows } from "../components/query";
import { type Action, type ActionName, ACTIONS, allowed, entered, type Input, Keys, type Row, shown, type Values } from "./actions";
import { ReturnItems } from "./ReturnItems";

interface Props {
  action: ActionName;
  row: Row;
  /** What it concerns: the number of the order, the partner's name. */
  subject: string;
  /** The usual answer is drawn more strongly. */
  isPrimary?: boolean;
}

/** Texts of `invite_partner` and `invite_agent` are those of `invite`. */
function textKey(action: Action): string {
  return action.call === "advance_redemption" ? action.name : action.call;
}

/** A button that asks for what the call needs, and makes it. */
export function ActionButton({ action: name, row, subject, isPrimary = false }: Props) {
  const action: Action = ACTIONS[name];
  const { t } = useWords();
  const [isOpen, setOpen] = useState(false);
  const label = t(`hub.action.${textKey(action)}.label`);
  return (
    <>
      <Button
        size="small"
        variant={isPrimary && !action.isDangerous ? "contained" : "outlined"}
        color={action.isDangerous ? "error" : "primary"}
        {...heldPress}
        onClick={(event) => {
          event.stopPropagation();
          setOpen(true);
        }}
        aria-label={`${label}: ${subject}`}
        sx={{ whiteSpace: "nowrap" }}
      >
        {label}
      </Button>
      {isOpen ? <ActionDialog action={action} row={row} subject={subject} close={() => setOpen(false)} /> : null}
    </>
  );
}

interface BarProps {
  names: readonly ActionName[];
  row: Row;
  subject: string;
  /** No button is drawn more strongly than the others. */
  isQuiet?: boolean;
}

/** The buttons of those `names` that the row and the role allow. */
export function ActionBar({ names, row, subject, isQuiet = false }: BarProps) {
  const role = useRole();
  const possible = allowed(names, row, role);
  if (possible.length === 0) return null;
  return (
    <Stack direction="row" sx={{ gap: 1, flexWrap: "wrap" }}>
      {possible.map((name, index) => (
        <ActionButton key={name} action={name} row={row} subject={subject} isPrimary={index === 0 && !isQuiet} />
      ))}
    </Stack>
  );
}

interface DialogProps {
  action: Action;
  row: Row;
  subject: string;
  close: () => void;
}

function ActionDialog({ action, row, subject, close }: DialogProps) {
  const { t } = useWords();
  const provider = useProvider();
  const notify = useNotify();
  const refresh = useRefresh();
  const queries = useQueryClient();
  const keys = useRef(new Keys(newKey));
  const [given, setGiven] = useState<Values>({});
  const values = shown(action.inputs, row, given);
  const { failure, isSending, submit } = useSubmit();
  const texts = `hub.action.${textKey(action)}`;

  const send = () =>
    submit(async () => {
      setGiven(values); // what is sent stays, also for a second attempt, when the row is read again
      const sent = entered(action.inputs, values);
      await provider.call(action.call, action.args(row, sent, keys.current.of(sent)));
      notify(t(`${texts}.done`), { type: "success" });
      await queries.invalidateQueries(); // the page behind shows what is now before it can be acted on again
      close();
    });

  // After a refusal the page behind shows what is now; someone else may have been faster. Not before: the button, and
  // with it this dialog, may be gone then.
  const leave = () => {
    close();
    if (failure) refresh();
  };

  return (
    <FormDialog
      title={`${t(`${texts}.label`)}: ${subject}`}
      about={t(`${texts}.about`)}
      confirm={t(`${texts}.label`)}
      isDangerous={action.isDangerous ?? false}
      isSending={isSending}
      failure={failure ? `${failure.message}${failure.body.isUnanswered ? ` ${t("hub.failure.unanswered")}` : ""}` : ""}
      onSubmit={() => void send()}
      onClose={leave}
    >
      {action.inputs.length > 0
        ? action.inputs.map((input, index) => (
            <ActionInput
              key={input.name}
              input={input}
              row={row}
              isFirst={index === 0}
              value={values[input.name]}
              change={(value) => setGiven((before) => ({ ...before, [input.name]: value }))}
            />
          ))
        : null}
    </FormDialog>
  );
}

interface InputProps {
  input: Input;
  row: Row;
  value: unknown;
  isFirst: boolean;
  change: (value: unknown) => void;
}

function ActionInput({ input, row, value, isFirst, change }: InputProps) {
  const { t, money, number } = useWords();
  const label = t(`hub.input.${input.name}`);
  const max = input.max?.(row);
  if (input.kind === "items") return <ReturnItems order={row} change={change} />;
  if (input.kind === "subdist") return <SubdistInput row={row} label={label} value={value} change={change} />;
  const isNumber = input.kind === "money" || input.kind === "points";
  return (
    <TextField
      label={label}
      value={value}
      onChange={(event) => change(event.target.value)}
      required={input.isRequired ?? false}
      autoFocus={isFirst}
      multiline={input.kind === "reason"}
      minRows={input.kind === "reason" ? 2 : 1}
      type={input.kind === "day" ? "date" : isNumber ? "number" : "text"}
      select={input.kind === "choice"}
      helperText={
        max !== undefined ? t("hub.input.max", { max: input.kind === "money" ? money(max) : number(max) }) : undefined
      }
      slotProps={{
        htmlInput: {
          ...(isNumber ? { step: input.kind === "money" ? "0.01" : 1, max, ...(input.kind === "money" ? { min: 0.01 } : {}) } : {}),
          ...(input.kind === "reason" || input.kind === "text" ? { maxLength: 500 } : {}),
        },
        ...(input.kind === "day" ? { inputLabel: { shrink: true } } : {}),
      }}
      fullWidth
    >
      {input.choices?.map((choice) => (
        <MenuItem key={choice} value={choice}>
          {t(`hub.${input.name}.${choice}`)}
        </MenuItem>
      ))}
    </TextField>
  );
}

/** Active sub-distributors, but the one who serves the order. */
function SubdistInput({ row, label, value, change }: Omit<InputProps, "input" | "isFirst"> & { label: string }) {
  const { data = [] } = useAllRows("sub_distributors", { field: "business_name", order: "ASC" }, { status: "ACTIVE" });
  const choices = data.filter((subdist) => subdist.id !== row.routed_to_subdist_id);
  return (
    <TextField label={label} value={value ?? ""} onChange={(event) => change(event.target.value)} select required fullWidth autoFocus>
      {choices.map((subdist) => (
        <MenuItem key={subdist.id} value={subdist.id}>
          {subdist.business_name} ({subdist.regions?.name})
        </MenuItem>
      ))}
    </TextField>
  );
}
