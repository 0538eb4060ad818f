import { Box } from "@mui/material";
import { Title } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import { Clock, RowLink, State, Table } from "../components/fields";
import { useWords } from "../components/hub";
import { QueryPart, useRows } from "../components/query";
import { escalationSubject } from "./escalations";

/** Milliseconds after which the page is read again. */
const EVERY = 60_000;

/** The first page of agents: what needs them in their regions. */
export function AgentHome() {
  const { t, word, money, day, moment } = useWords();
  const escalations = useRows("sla_escalation_logs", {
    sort: { field: "triggered_at", order: "DESC" },
    filter: { "acknowledged_at@is": null },
    refetchInterval: EVERY,
  });
  const waiting = useRows("orders", {
    sort: { field: "awaiting_since", order: "ASC" },
    filter: { "awaiting@in": ["SUBDIST", "HEADQUARTERS"] },
    refetchInterval: EVERY,
  });
  const overdue = useRows("overdue_invoices", { sort: { field: "due_date", order: "ASC" }, refetchInterval: EVERY });
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={t("hub.menu.start")} />
      <QueryPart title={t("hub.agent_home.escalations")} query={escalations}>
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
      </QueryPart>
      <QueryPart title={t("hub.agent_home.waiting")} query={waiting}>
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
      </QueryPart>
      <QueryPart title={t("hub.agent_home.overdue")} query={overdue}>
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
      </QueryPart>
    </Box>
  );
}
