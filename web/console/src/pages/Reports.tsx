import { Box, Typography } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Title } from "react-admin";

import type { Row } from "../actions/actions";
import BarChart from "../charts/BarChart";
import { byMonth, monthName } from "../charts/months";
import { RowLink, Table } from "../components/fields";
import { useProvider, useWords } from "../components/hub";
import { QueryPart, useRows } from "../components/query";

const MONTHS = 12;
const AGES = ["not_overdue", "overdue_1_30", "overdue_31_60", "overdue_61_90", "overdue_over_90"];

/** Charts of what the hub has added up: orders and revenue, lateness, receivables. */
export default function Reports() {
  const { t } = useWords();
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={t("hub.reports.title")} />
      <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", lg: "1fr 1fr" }, gap: 2 }}>
        <Months />
        <Lateness />
        <Ages />
        <Top />
      </Box>
    </Box>
  );
}

function Months() {
  const { t, money, moment, language } = useWords();
  const provider = useProvider();
  const query = useQuery({
    queryKey: ["monthly_totals"],
    queryFn: async () => ((await provider.call("monthly_totals", { months: MONTHS })) as unknown as Row[]).reverse(),
  });
  const title = t("hub.reports.months");
  return (
    <QueryPart title={title} query={query}>
      {(rows) => (
        <>
          <BarChart
            title={title}
            labelName={t("hub.reports.month")}
            labels={rows.map((row) => monthName(row.month, language))}
            series={[
              { name: t("hub.reports.revenue"), values: rows.map((row) => row.total_spend - row.total_returned) },
              { name: t("hub.reports.orders"), values: rows.map((row) => row.order_count), axis: "right" },
            ]}
            format={money}
          />
          {/* "-infinity" until the statistics are refreshed for the first time. */}
          {Number.isNaN(Date.parse(rows.at(-1)?.refreshed_at)) ? null : (
            <Typography variant="caption">{t("hub.reports.as_of", { time: moment(rows.at(-1)?.refreshed_at) })}</Typography>
          )}
        </>
      )}
    </QueryPart>
  );
}

function Lateness() {
  const { t, number, language } = useWords();
  const provider = useProvider();
  const query = useQuery({
    queryKey: ["sla_lateness"],
    queryFn: async () => byMonth(await provider.callAll("sla_lateness", { months: MONTHS }, ["month", "region_id"])),
  });
  const title = t("hub.reports.lateness");
  return (
    <QueryPart title={title} query={query}>
      {(rows) =>
        rows.length === 0 ? (
          <>{t("hub.empty")}</>
        ) : (
          <BarChart
            title={title}
            labelName={t("hub.reports.month")}
            labels={rows.map((row) => monthName(row.month, language))}
            series={(["reminders", "manager_notices", "escalations"] as const).map((level) => ({
              name: t(`hub.reports.${level}`),
              values: rows.map((row) => row[level]),
            }))}
            format={number}
          />
        )
      }
    </QueryPart>
  );
}

function Ages() {
  const { t, money } = useWords();
  const query = useRows("receivables_by_age", { perPage: 1 });
  const title = t("hub.reports.receivables");
  return (
    <QueryPart title={title} query={query}>
      {([row = {}]) => (
        <BarChart
          title={title}
          labelName={t("resources.receivables.fields.overdue")}
          labels={AGES.map((age) => t(`resources.receivables.fields.${age}`))}
          series={[{ name: t("resources.receivables.fields.amount_due"), values: AGES.map((age) => Number(row[age] ?? 0)) }]}
          format={money}
        />
      )}
    </QueryPart>
  );
}

function Top() {
  const { t, money } = useWords();
  const query = useRows("receivables", { sort: { field: "amount_due", order: "DESC" }, perPage: 10 });
  const name = (field: string) => t(`resources.receivables.fields.${field}`);
  return (
    <QueryPart title={t("hub.reports.top")} query={query}>
      {(rows) => (
        <Table
          label={t("hub.reports.top")}
          rows={rows}
          keyOf={(row) => row.id}
          columns={[
            [name("partner_id"), (row) => <RowLink view="partners" id={row.partner_id}>{row.business_name}</RowLink>],
            [name("amount_due"), (row) => money(row.amount_due), true],
            [name("overdue"), (row) => money(row.overdue), true],
            [name("days_overdue"), (row) => row.days_overdue, true],
          ]}
        />
      )}
    </QueryPart>
  );
}
