import { FailureNote } from "../components/FailureNote";
import { useWords } from "../components/hub";
import { useRelated } from "../components/query";
import BarChart from "./BarChart";
import { monthName } from "./months";

/** Months of a partner's orders and spend, from partner_statistics. */
export default function PartnerChart({ partner }: { partner: string }) {
  const { t, money, language } = useWords();
  const { data, error, refetch } = useRelated("partner_statistics", "partner_id", partner, {
    newest: "month",
    perPage: 12,
  });
  if (error) return <FailureNote error={error} retry={() => void refetch()} />;
  if (!data) return null;
  const rows = [...data].reverse();
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
