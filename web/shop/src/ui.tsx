import { asApiError } from "@alfa-hub/common/errors";
import { cutAtNumbers } from "@alfa-hub/common/format";
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { explain, notice, t } from "./state";

/** A text whose numbers stay on one line. */
export function Numbers({ text }: { text: string }) {
  return <>{cutAtNumbers(text).map((part, index) => (index % 2 ? <span class="whole">{part}</span> : part))}</>;
}

/** The title of a page. It takes the focus, so that keyboard and screen reader begin there. */
export function Title({ children }: { children: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${children} – Alfa Beauty`;
    heading.current?.focus();
  }, [children]);
  return (
    <h1 ref={heading} tabIndex={-1}>
      <Numbers text={children} />
    </h1>
  );
}

/** What went wrong, with a button to try again. */
export function Problem({ error, retry }: { error: unknown; retry?: (() => void) | undefined }) {
  if (!error) return null;
  return (
    <div class="problem" role="alert">
      <p>{explain(error)}</p>
      {retry && (
        <button type="button" onClick={retry}>
          {t("retry")}
        </button>
      )}
    </div>
  );
}

export function Loading() {
  return (
    <p class="loading" role="status">
      {t("loading")}
    </p>
  );
}

export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  reload: () => void;
}

/** Milliseconds until what got no answer is read again. */
const AGAIN = 3_000;

/**
 * Load data when the component appears and when `key` changes, and again while there is no answer. An answer that
 * comes too late is dropped.
 */
export function useLoad<T>(load: () => Promise<T>, key = ""): Loaded<T> {
  const state = useSignal<{ data?: T; error?: unknown }>({});
  const round = useSignal(0);
  const turn = round.value;
  useEffect(() => {
    let isWanted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    load().then(
      (data) => {
        if (isWanted) state.value = { data };
      },
      (error: unknown) => {
        if (!isWanted) return;
        state.value = { ...state.peek(), error };
        if (asApiError(error).code === "NETWORK") timer = setTimeout(() => round.value++, AGAIN);
      },
    );
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [key, turn]);
  return { data: state.value.data, error: state.value.error, reload: () => round.value++ };
}

export interface Action {
  isRunning: boolean;
  error: unknown;
  run: (work: () => Promise<unknown>, done?: string) => Promise<boolean>;
  clear: () => void;
}

/** A call that a button makes: a second tap while it runs does nothing. */
export function useAction(): Action {
  const state = useSignal<{ isRunning: boolean; error: unknown }>({ isRunning: false, error: undefined });
  const run = async (work: () => Promise<unknown>, done?: string): Promise<boolean> => {
    if (state.peek().isRunning) return false;
    state.value = { isRunning: true, error: undefined };
    notice.value = "";
    try {
      await work();
      state.value = { isRunning: false, error: undefined };
      if (done) notice.value = done;
      return true;
    } catch (error) {
      state.value = { isRunning: false, error };
      return false;
    }
  };
  return { ...state.value, run, clear: () => (state.value = { isRunning: false, error: undefined }) };
}

/** Fields and the button that sends them, with what went wrong between the two. */
export function Form(props: {
  confirm: string;
  /** On the button while the call runs. */
  running?: string;
  action: Action;
  onSubmit: () => void;
  children: ComponentChildren;
}) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        props.onSubmit();
      }}
    >
      {props.children}
      <Problem error={props.action.error} />
      <button type="submit" class="primary wide" disabled={props.action.isRunning}>
        {props.action.isRunning ? (props.running ?? t("sending")) : props.confirm}
      </button>
    </form>
  );
}

export interface FieldProps {
  label: string;
  hint?: string;
  type?: "text" | "email" | "password" | "tel" | "date";
  autoComplete?: string;
  required?: boolean;
  minLength?: number;
  value: string;
  onText: (text: string) => void;
}

/** An input with its label and hint. */
export function Field({ label, hint, onText, type = "text", ...input }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...input}
        type={type as "text"}
        id={id}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onInput={(event) => onText(event.currentTarget.value)}
      />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}

/** A question with a reason or without; Escape and the second button leave everything as it is. */
export function Ask(props: {
  title: string;
  text?: string;
  confirm: string;
  reason?: string;
  isReasonNeeded?: boolean;
  isDangerous?: boolean;
  action: Action;
  onConfirm: (reason: string) => void;
  onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const reason = useSignal("");
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={`${id}-title`} onClose={props.onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          props.onConfirm(reason.value.trim());
        }}
      >
        <h2 id={`${id}-title`}>
          <Numbers text={props.title} />
        </h2>
        {props.text && <p>{props.text}</p>}
        {props.reason && (
          <div class="field">
            <label for={id}>{props.reason}</label>
            <textarea
              id={id}
              rows={3}
              maxLength={500}
              required={props.isReasonNeeded ?? false}
              value={reason.value}
              onInput={(event) => (reason.value = event.currentTarget.value)}
            />
          </div>
        )}
        <Problem error={props.action.error} />
        <div class="row">
          <button type="button" class="plain" onClick={() => dialog.current?.close()}>
            {t("back")}
          </button>
          <button
            type="submit"
            class={props.isDangerous ? "danger" : "primary"}
            disabled={props.action.isRunning}
          >
            {props.action.isRunning ? t("sending") : props.confirm}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Says that a list is cut, of which the newest `shown` rows were read. */
export function Newest({ rows, shown }: { rows: unknown[] | undefined; shown: number }) {
  return rows?.length === shown ? <p class="hint">{t("newestOnly", { count: shown })}</p> : null;
}

/** A name and its value, as in a table of facts. Numbers, amounts and dates stay on one line, a text does not. */
export function Fact({ name, isText, children }: { name: string; isText?: boolean; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd class={isText ? undefined : "whole"}>{children}</dd>
    </div>
  );
}

/**
 * A whole number that is taken when it is complete. What is being typed is kept: the page may be drawn again
 * meanwhile, as at each answer.
 */
export function NumberInput(props: {
  value: number;
  max?: number | undefined;
  /** Its name, unless it stands in a label. */
  label?: string;
  isDisabled: boolean;
  onChange: (value: number) => void;
}) {
  const typed = useSignal<string | undefined>(undefined);
  return (
    <input
      type="number"
      inputMode="numeric"
      min={0}
      max={props.max}
      aria-label={props.label}
      disabled={props.isDisabled}
      value={typed.value ?? props.value}
      onInput={(event) => (typed.value = event.currentTarget.value)}
      onChange={(event) => {
        typed.value = undefined;
        props.onChange(Number(event.currentTarget.value));
      }}
      onBlur={() => (typed.value = undefined)}
    />
  );
}

/** Minus, number, plus. The number can be typed. */
export function Stepper(props: {
  label: string;
  value: number;
  max?: number;
  isDisabled?: boolean;
  onChange: (quantity: number) => void;
}) {
  const { label, value, onChange } = props;
  return (
    <div class="stepper" role="group" aria-label={label}>
      <button
        type="button"
        aria-label={`${t("less")}: ${label}`}
        disabled={props.isDisabled || value <= 0}
        onClick={() => onChange(value - 1)}
      >
        −
      </button>
      <NumberInput
        max={props.max}
        label={`${t("quantity")}: ${label}`}
        isDisabled={props.isDisabled ?? false}
        value={value}
        onChange={onChange}
      />
      <button
        type="button"
        aria-label={`${t("more")}: ${label}`}
        disabled={props.isDisabled ?? false}
        onClick={() => onChange(value + 1)}
      >
        +
      </button>
    </div>
  );
}
