import { Alert, Button } from "@mui/material";
import { type ReactNode, useState } from "react";
import {
  Create,
  DeleteButton,
  Edit,
  type Identifier,
  SaveButton,
  SimpleForm,
  Toolbar,
  useEditContext,
  useNotify,
  useRefresh,
} from "react-admin";
import { useFormContext } from "react-hook-form";

import { CONFLICT, Failure } from "../provider/failure";
import { useWords } from "./hub";
import { AuditLink, WHOLE } from "./ShowPage";

/** What the last attempt to save was refused for. A conflict offers to load what the others wrote. */
function SaveFailure({ failure, clear }: { failure: Failure | undefined; clear: () => void }) {
  const { t } = useWords();
  const form = useFormContext();
  const context = useEditContext();
  if (!failure) return null;
  const isConflict = failure.body.code === CONFLICT;
  const reload = async () => {
    const { data } = await context.refetch();
    form.reset(data);
    clear();
  };
  return (
    <Alert
      severity={isConflict ? "warning" : "error"}
      sx={{ width: "100%", mb: 2 }}
      action={
        isConflict ? (
          <Button color="inherit" size="small" onClick={() => void reload()}>
            {t("hub.failure.reload")}
          </Button>
        ) : undefined
      }
    >
      {failure.message}
    </Alert>
  );
}

/** The audit trail of the row that is edited. */
function EditAudit() {
  const { record, resource } = useEditContext();
  return record ? <AuditLink table={resource === "product_master" ? "products" : resource} id={String(record.id)} /> : null;
}

interface EditProps {
  children: ReactNode;
  canDelete?: boolean;
  redirect?: Redirect;
  /** View that is written, where it is another than the one that lists. */
  view?: string;
}

type Redirect = "show" | "list" | ((resource?: string, id?: Identifier) => string);

/** A form that overwrites no one: it saves only if the row is as it was read. */
export function HubEdit({ children, canDelete = false, redirect = "show", view }: EditProps) {
  const [failure, setFailure] = useState<Failure>();
  const notify = useNotify();
  const refresh = useRefresh();
  return (
    <Edit
      {...(view ? { resource: view } : {})}
      mutationMode="pessimistic"
      queryOptions={WHOLE}
      redirect={redirect}
      actions={false}
      mutationOptions={{
        onError: (error) => {
          if (error instanceof Failure) setFailure(error);
          else notify(String(error), { type: "error" });
        },
      }}
    >
      <SimpleForm
        toolbar={
          <Toolbar sx={{ justifyContent: "space-between" }}>
            <SaveButton />
            <EditAudit />
            {canDelete ? (
              <DeleteButton
                redirect={typeof redirect === "function" ? () => redirect() : "list"}
                mutationMode="pessimistic"
                mutationOptions={{
                  onError: (error) => {
                    if (error instanceof Failure) setFailure(error);
                    refresh();
                  },
                }}
              />
            ) : null}
          </Toolbar>
        }
      >
        <SaveFailure failure={failure} clear={() => setFailure(undefined)} />
        {children}
      </SimpleForm>
    </Edit>
  );
}

interface CreateProps {
  children: ReactNode;
  redirect?: Redirect;
  view?: string;
  defaults?: Record<string, unknown>;
}

export function HubCreate({ children, redirect = "show", defaults = {}, view }: CreateProps) {
  const [failure, setFailure] = useState<Failure>();
  return (
    <Create
      {...(view ? { resource: view } : {})}
      redirect={redirect}
      mutationOptions={{
        onError: (error) => {
          if (error instanceof Failure) setFailure(error);
        },
      }}
    >
      <SimpleForm defaultValues={defaults}>
        {failure ? (
          <Alert severity="error" sx={{ width: "100%", mb: 2 }}>
            {failure.message}
          </Alert>
        ) : null}
        {children}
      </SimpleForm>
    </Create>
  );
}
