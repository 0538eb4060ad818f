import { Box, Chip, Link as MuiLink, Stack, Typography } from "@mui/material";
import { Fragment, type ReactNode, useEffect, useState } from "react";
import { Link } from "react-router-dom";

import type { Row } from "../actions/actions";
import { useWords } from "./hub";
import { Numbers } from "./Numbers";

type Tone = "default" | "info" | "success" | "warning" | "error";

const TONES: Record<string, Tone> = {
  SUBMITTED: "info",
  PROCESSING: "info",
  APPROVED: "info",
  SHIPPED: "info",
  COMPLETED: "success",
  REJECTED: "default",
  CANCELLED: "default",
  UNPAID: "warning",
  PARTIAL: "warning",
  PAID: "success",
  PENDING: "warning",
  FAILED: "error",
  DELIVERED: "success",
  ACTIVE: "success",
  SUSPENDED: "error",
};

/** A state as a chip; colour repeats what the word says. */
export function State({ group, value }: { group: string; value: string | null | undefined }) {
  const { word } = useWords();
  if (!value) return null;
  const tone = TONES[value] ?? "default";
  return <Chip size="small" variant="outlined" color={tone} label={word(group, value)} sx={{ color: "text.primary" }} />;
}

export function Flag({ label, tone = "warning" }: { label: string; tone?: Tone }) {
  return <Chip size="small" variant="outlined" color={tone} label={label} sx={{ color: "text.primary" }} />;
}

/** Whether a row is in use; one that is not is marked. */
export function Active({ row }: { row: Row }) {
  const { t } = useWords();
  return row.is_active ? <>{t("hub.yes")}</> : <Flag label={t("hub.no")} />;
}

/** The present moment, every half minute: clocks go on while a page is open. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** How long is left until `due`, or how late it is; without a due time since when it waits. */
export function Clock({ since, due }: { since?: string | null; due?: string | null }) {
  const { t, duration, moment } = useWords();
  const now = useNow();
  if (due) {
    const left = Date.parse(due) - now;
    const text = t(left < 0 ? "hub.clock.late" : "hub.clock.left", { time: duration(left) });
    return (
      <Box component="span" title={moment(due)} sx={left < 0 ? { color: "error.main", fontWeight: 600 } : {}}>
        {text}
      </Box>
    );
  }
  if (!since) return null;
  return (
    <span title={moment(since)}>{t("hub.clock.waiting", { time: duration(now - Date.parse(since)) })}</span>
  );
}

/** Below rows that are not all there are. */
export function CutNote() {
  const { t } = useWords();
  return (
    <Typography variant="caption" component="p">
      {t("hub.cut")}
    </Typography>
  );
}

/** Numbers in a text stay on one line; other content is left as it is. */
function whole(content: ReactNode): ReactNode {
  return typeof content === "string" ? <Numbers text={content} /> : content;
}

export function To({ to, children }: { to: string; children: ReactNode }) {
  return (
    <MuiLink component={Link} to={to} underline="always" onClick={(event) => event.stopPropagation()}>
      {whole(children)}
    </MuiLink>
  );
}

/** A link to a row's page, by its name; plain text where there is no id. */
export function RowLink({ view, id, children }: { view: string; id: unknown; children: ReactNode }) {
  if (!id) return <>{whole(children)}</>;
  return <To to={`/${view}/${String(id)}/show`}>{children}</To>;
}

/** The same to the form of a row, for lists whose rows are edited at once. */
export function EditLink({ view, id, children }: { view: string; id: unknown; children: ReactNode }) {
  return <To to={`/${view}/${String(id)}`}>{children}</To>;
}

/** Names and values, one below the other. Values that are missing are left out. */
export function Facts({ items }: { items: [label: string, value: ReactNode][] }) {
  return (
    <Box component="dl" sx={{ m: 0, display: "grid", gridTemplateColumns: "auto 1fr", columnGap: 2, rowGap: 0.75 }}>
      {items
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([label, value]) => (
          <Box key={label} sx={{ display: "contents" }}>
            <Typography component="dt" variant="body2" color="text.secondary">
              {label}
            </Typography>
            <Typography component="dd" variant="body2" sx={{ m: 0, overflowWrap: "anywhere", whiteSpace: "pre-wrap" }}>
              {whole(value)}
            </Typography>
          </Box>
        ))}
    </Box>
  );
}

/** A part of a page with its heading. */
export function Section({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <Box component="section" sx={{ p: 2, bgcolor: "background.paper", borderRadius: 1, boxShadow: 1, mb: 2, minWidth: 0 }}>
      <Stack direction="row" sx={{ justifyContent: "space-between", alignItems: "center", mb: 1, gap: 1, flexWrap: "wrap" }}>
        <Typography component="h2" variant="h6">
          {title}
        </Typography>
        {actions}
      </Stack>
      {children}
    </Box>
  );
}

/** A small table: columns are name, value of a row, and whether it is a number. */
export function Table<R extends object>({
  label,
  rows,
  columns,
  keyOf,
  below,
}: {
  label: string;
  rows: R[];
  columns: [name: string, value: (row: R) => ReactNode, isNumber?: boolean][];
  keyOf: (row: R, index: number) => string;
  /** In a line of its own below a row: its buttons. */
  below?: (row: R) => ReactNode;
}) {
  const { t } = useWords();
  if (rows.length === 0) return <Typography variant="body2">{t("hub.empty")}</Typography>;
  return (
    <Box sx={{ overflowX: "auto" }} tabIndex={0} role="region" aria-label={label}>
      <Box
        component="table"
        aria-label={label}
        sx={{
          width: "100%",
          borderCollapse: "collapse",
          fontSize: "0.875rem",
          "& th": { textAlign: "left", fontWeight: 600, whiteSpace: "nowrap" },
          "& td, & th": { py: 0.75, px: 1, borderBottom: 1, borderColor: "divider", verticalAlign: "top" },
          "& .n": { textAlign: "right", whiteSpace: "nowrap" },
          "& .above td": { border: 0 },
          "& td:empty": { p: 0 },
          "& a": { whiteSpace: "nowrap" },
        }}
      >
        <thead>
          <tr>
            {columns.map(([name, , isNumber], index) => (
              <th key={name || index} scope="col" className={isNumber ? "n" : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <Fragment key={keyOf(row, index)}>
              <tr className={below ? "above" : undefined}>
                {columns.map(([name, value, isNumber], column) => (
                  <td key={name || column} className={isNumber ? "n" : undefined}>
                    {whole(value(row))}
                  </td>
                ))}
              </tr>
              {below ? (
                <tr>
                  <td colSpan={columns.length}>{below(row)}</td>
                </tr>
              ) : null}
            </Fragment>
          ))}
        </tbody>
      </Box>
    </Box>
  );
}
