import { Box, CircularProgress, Stack, Typography } from "@mui/material";
import type { ReactNode } from "react";
import { EditButton, ShowBase, Title, useResourceContext, useShowContext } from "react-admin";

import type { Row } from "../actions/actions";
import { FailureNote } from "./FailureNote";
import { To } from "./fields";
import { useIsHeadquarters, useWords } from "./hub";
import { useCanWrite } from "./HubList";

interface Props {
  title: (row: Row) => string;
  /** Beside the title: the state of the row. */
  state?: (row: Row) => ReactNode;
  actions?: (row: Row) => ReactNode;
  canEdit?: boolean;
  /** Name of the table in the audit trail. */
  audit?: string;
  children: (row: Row) => ReactNode;
}

/** A key of its own: rows of lists, which lack what the page embeds, do not stand in for the whole row. */
export const WHOLE = { meta: { isWhole: true } };

/** The page of one row: its title and state, what can be done, and its parts. */
export function ShowPage(props: Props) {
  return (
    <ShowBase queryOptions={WHOLE}>
      <Page {...props} />
    </ShowBase>
  );
}

function Page({ title, state, actions, canEdit = false, audit, children }: Props) {
  const { record, error, isPending, refetch } = useShowContext<Row & { id: string }>();
  const { t } = useWords();
  const view = useResourceContext() ?? "";
  const canWrite = useCanWrite(view);
  const isHeadquarters = useIsHeadquarters();
  if (error) return <FailureNote error={error} retry={() => void refetch()} />;
  if (isPending || !record) return <CircularProgress aria-label={t("ra.page.loading")} sx={{ m: 4 }} />;
  const name = title(record);
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={`${t(`resources.${view}.name`, { smart_count: 1 })} ${name}`} />
      <Stack direction="row" sx={{ gap: 2, alignItems: "center", mb: 2, flexWrap: "wrap" }}>
        <Typography component="p" variant="h5" sx={{ overflowWrap: "anywhere" }}>
          {name}
        </Typography>
        {state?.(record)}
        <Box sx={{ flex: 1 }} />
        {actions?.(record)}
        {canEdit && canWrite ? <EditButton /> : null}
        {audit && isHeadquarters ? <AuditLink table={audit} id={record.id} /> : null}
      </Stack>
      {children(record)}
    </Box>
  );
}

/** A link to the audit trail of a row. */
export function AuditLink({ table, id }: { table: string; id: string }) {
  const { t } = useWords();
  const filter = encodeURIComponent(JSON.stringify({ target_type: table, target_id: id }));
  return <To to={`/audit_logs?filter=${filter}&sort=created_at&order=DESC&page=1`}>{t("hub.audit.button")}</To>;
}

/** Two columns on a wide screen. */
export function Columns({ main, side }: { main: ReactNode; side: ReactNode }) {
  return (
    <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", lg: "minmax(0, 2fr) minmax(0, 1fr)" }, gap: 2 }}>
      <Box sx={{ minWidth: 0 }}>{main}</Box>
      <Box sx={{ minWidth: 0 }}>{side}</Box>
    </Box>
  );
}
