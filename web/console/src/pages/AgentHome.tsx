import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Title } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import type { Row } from "../actions/actions";
import { FailureNote } from "../components/FailureNote";
import { Clock, RowLink, Section, State, Table } from "../components/fields";
import { useProvider, useWords } from "../components/hub";
import { escalationSubject } from "./escalations";

function useRows(view: string, field: string, order: "ASC" | "DESC", filter: object) {
  const provider = useProvider();
  return useQuery({
    queryKey: [view, "getList", "home", filter],
    queryFn: ({ signal }) =>
      provider.getList(view, { pagination: { page: 1, perPage: 20 }, sort: { field, order }, filter, signal }),
    refetchInterval: 60_000,
  });
}

/** The first page of agents: what needs them in their regions. */
export function AgentHome() {
  const { t, word, money, day, moment } = useWords();
  const escalations = useRows("sla_escalation_logs", "triggered_at", "DESC", { "acknowledged_at@is": null });
  const waiting = useRows("orders", "awaiting_since", "ASC", { "awaiting@in": ["SUBDIST", "HEADQUARTERS"] });
  const overdue = useRows("overdue_invoices", "due_date", "ASC", {});
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={t("hub.menu.start")} />
      <Part title={t("hub.agent_home.escalations")} query={escalations}>
        {(rows) => (
          <Table
            label={t("hub.agent_home.escalations")}
            rows={rows}
            keyOf={(row) => row.id}
            columns={[
              [t("hub.order.facts"), (row) => <RowLink view="orders" id={row.order_id}>{escalationSubject(row)}</RowLink>],
              [t("hub.order.partner"), (row) => row.orders?.partners?.business_name],
              [t("resources.orders.fields.escalation_level"), (row) => word("hub.level", row.escalation_level)],
              [t("resources.orders.fields.triggered_at"), (row) => moment(row.triggered_at)],
              [t("resources.orders.fields.action"), (row) => <ActionBar names={["acknowledge_escalation"]} row={row} subject={escalationSubject(row)} />],
            ]}
          />
        )}
      </Part>
      <Part title={t("hub.agent_home.waiting")} query={waiting}>
        {(rows) => (
          <Table
            label={t("hub.agent_home.waiting")}
            rows={rows}
            keyOf={(row) => row.id}
            columns={[
              [t("resources.orders.fields.order_number"), (row) => <RowLink view="orders" id={row.id}>{row.order_number}</RowLink>],
              [t("hub.order.partner"), (row) => <RowLink view="partners" id={row.partner_id}>{row.partners?.business_name}</RowLink>],
              [t("resources.orders.fields.status"), (row) => <State group="status" value={row.status} />],
              [t("resources.orders.fields.awaiting"), (row) => word("hub.awaiting", row.awaiting)],
              [t("resources.orders.fields.clock"), (row) => <Clock since={row.awaiting_since} />],
              [t("resources.orders.fields.grand_total"), (row) => money(row.grand_total), true],
            ]}
          />
        )}
      </Part>
      <Part title={t("hub.agent_home.overdue")} query={overdue}>
        {(rows) => (
          <Table
            label={t("hub.agent_home.overdue")}
            rows={rows}
            keyOf={(row) => row.id}
            columns={[
              [t("resources.orders.fields.invoice_number"), (row) => <RowLink view="invoices" id={row.id}>{row.invoice_number}</RowLink>],
              [t("hub.order.partner"), (row) => <RowLink view="partners" id={row.partner_id}>{row.business_name}</RowLink>],
              [t("resources.orders.fields.due_date"), (row) => day(row.due_date)],
              [t("resources.orders.fields.days_overdue"), (row) => row.days_overdue, true],
              [t("resources.orders.fields.amount_due"), (row) => money(row.amount_due), true],
            ]}
          />
        )}
      </Part>
    </Box>
  );
}

type Answer = ReturnType<typeof useRows>;

function Part({ title, query, children }: { title: string; query: Answer; children: (rows: Row[]) => ReactNode }) {
  return (
    <Section title={title}>
      {query.error ? <FailureNote error={query.error} retry={() => void query.refetch()} /> : children(query.data?.data ?? [])}
    </Section>
  );
}
