import { Box, Chip, Stack, Typography } from "@mui/material";
import { useState } from "react";
import { Title } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import { QUEUE_ACTIONS, type Row, subjectOf } from "../actions/actions";
import { FailureNote } from "../components/FailureNote";
import { Clock, CutNote, Flag, RowLink } from "../components/fields";
import { useWords } from "../components/hub";
import { useRows } from "../components/query";
import { escalationSubject } from "./escalations";
import { quarantineReason } from "./quarantineReason";

/** Rows that are read at most; what is oldest comes first. */
const LIMIT = 200;

/** What awaits headquarters, oldest first: the first page of admins. */
export function WorkQueue() {
  const { t } = useWords();
  const [kind, setKind] = useState("");
  const { data: rows = [], isCut, error, isPending, refetch } = useRows("work_queue", { perPage: LIMIT, refetchInterval: 60_000 });
  const kinds = [...new Set(rows.map((row) => String(row.kind)))];
  const shown = kind && kinds.includes(kind) ? rows.filter((row) => row.kind === kind) : rows;
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={t("hub.menu.queue")} />
      <Typography component="p" sx={{ mb: 1.5 }}>
        {t("hub.queue.about")}
      </Typography>
      {error ? <FailureNote error={error} retry={() => void refetch()} /> : null}
      {kinds.length > 1 ? (
        <Stack direction="row" role="group" aria-label={t("hub.queue.filter")} sx={{ gap: 1, mb: 2, flexWrap: "wrap" }}>
          <KindChip label={`${t("hub.queue.all")} (${rows.length})`} isOn={kind === ""} choose={() => setKind("")} />
          {kinds.map((name) => (
            <KindChip
              key={name}
              label={`${t(`hub.queue.kind.${name}`)} (${rows.filter((row) => row.kind === name).length})`}
              isOn={kind === name}
              choose={() => setKind(name)}
            />
          ))}
        </Stack>
      ) : null}
      {!error && !isPending && rows.length === 0 ? <Typography>{t("hub.queue.empty")}</Typography> : null}
      <Box component="ul" sx={{ listStyle: "none", m: 0, p: 0 }}>
        {shown.map((row) => (
          <QueueItem key={row.id} item={row} />
        ))}
      </Box>
      {isCut ? <CutNote /> : null}
    </Box>
  );
}

function KindChip({ label, isOn, choose }: { label: string; isOn: boolean; choose: () => void }) {
  return (
    <Chip
      label={label}
      onClick={choose}
      aria-pressed={isOn}
      color={isOn ? "primary" : "default"}
      variant={isOn ? "filled" : "outlined"}
    />
  );
}

/** What `details` says: codes and numbers in the reader's language, reasons as they were entered. */
function useDetails(item: Row): string {
  const { t, word, number } = useWords();
  if (!item.details) return "";
  switch (item.kind) {
    case "OVER_LIMIT":
      return word("hub.over_limit", item.details);
    case "REDEMPTION":
      return t("hub.queue.points", { count: number(Number(item.details)) });
    case "MESSAGE":
      return t("hub.queue.error_code", { code: item.details });
    case "QUARANTINE":
      return quarantineReason(item.details, t);
    default:
      return item.details;
  }
}

function QueueItem({ item }: { item: Row }) {
  const { t, money, moment } = useWords();
  const actions = QUEUE_ACTIONS[item.kind] ?? [];
  const details = useDetails(item);
  return (
    <Box
      component="li"
      sx={{
        bgcolor: "background.paper",
        boxShadow: 1,
        borderRadius: 1,
        mb: 1,
        p: 1.5,
        display: "grid",
        gridTemplateColumns: { xs: "1fr", md: "172px minmax(0, 1fr) 110px 150px 250px" },
        gap: 2,
        alignItems: "center",
      }}
    >
      <div>
        <Flag label={t(`hub.queue.kind.${item.kind}`)} tone={item.kind === "MESSAGE" ? "error" : "info"} />
      </div>
      <Box sx={{ minWidth: 0 }}>
        <Typography variant="body2" sx={{ fontWeight: 600, overflowWrap: "anywhere" }}>
          <SubjectLink item={item} />
          {item.business_name ? " · " : ""}
          <RowLink view="partners" id={item.partner_id}>
            {item.business_name}
          </RowLink>
        </Typography>
        <Typography variant="body2" color="text.secondary" sx={{ overflowWrap: "anywhere" }}>
          {[item.subdist_name, details].filter(Boolean).join(" · ")}
        </Typography>
      </Box>
      <Typography variant="body2" sx={{ textAlign: { md: "right" } }}>
        {money(item.amount)}
      </Typography>
      <Typography variant="body2" title={moment(item.waiting_since)}>
        <Clock since={item.waiting_since} due={item.due_at} />
      </Typography>
      <Stack direction="row" sx={{ gap: 1, flexWrap: "wrap", justifyContent: { md: "flex-end" } }}>
        {actions.map((name, index) => (
          <ActionBar key={name} names={[name]} row={subjectOf(item, name)} subject={escalationSubject(item)} isQuiet={index > 0} />
        ))}
      </Stack>
    </Box>
  );
}

function SubjectLink({ item }: { item: Row }) {
  const { word } = useWords();
  if (item.kind === "REFUND") return <RowLink view="invoices" id={item.subject_id}>{item.subject}</RowLink>;
  // A message is named by its template, or by its code where that has no words.
  const subject = item.kind === "MESSAGE" ? word("hub.template", item.subject) : item.subject;
  return <RowLink view="orders" id={item.order_id}>{subject}</RowLink>;
}
