import { useQuery } from "@tanstack/react-query";

import type { Row } from "../actions/actions";
import { FailureNote } from "../components/FailureNote";
import { useProvider, useWords } from "../components/hub";
import BarChart from "./BarChart";
import { monthName } from "./months";

/** Months of a partner's orders and spend, from partner_statistics. */
export default function PartnerChart({ partner }: { partner: string }) {
  const { t, money, language } = useWords();
  const provider = useProvider();
  const { data, error, refetch } = useQuery({
    queryKey: ["partner_statistics", "getManyReference", partner],
    queryFn: ({ signal }) =>
      provider.getManyReference("partner_statistics", {
        target: "partner_id",
        id: partner,
        pagination: { page: 1, perPage: 12 },
        sort: { field: "month", order: "DESC" },
        filter: {},
        signal,
      }),
  });
  if (error) return <FailureNote error={error} retry={() => void refetch()} />;
  const rows = ([...(data?.data ?? [])] as Row[]).reverse();
  if (rows.length === 0) return <>{t("hub.empty")}</>;
  return (
    <BarChart
      title={t("hub.partner.months")}
      labelName={t("hub.reports.month")}
      labels={rows.map((row) => monthName(row.month, language))}
      series={[
        { name: t("hub.reports.revenue"), values: rows.map((row) => row.total_spend - row.total_returned) },
        { name: t("hub.reports.orders"), values: rows.map((row) => row.order_count), axis: "right" },
      ]}
      format={money}
      height={180}
    />
  );
}
