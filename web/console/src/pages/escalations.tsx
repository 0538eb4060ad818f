import { DataTable, SelectInput } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import type { Row } from "../actions/actions";
import { Clock, Flag, RowLink, State } from "../components/fields";
import { HubList } from "../components/HubList";
import { useWords } from "../components/hub";

/** What an action of a row of the queue concerns, in words. */
export function escalationSubject(item: Row): string {
  return String(item.subject ?? item.orders?.order_number ?? "");
}

/** Escalations of late orders, newest first; those that no one follows up are shown first. */
export function EscalationList() {
  const { t, word, moment, choices } = useWords();
  return (
    <HubList
      sort={{ field: "triggered_at", order: "DESC" }}
      rowClick={false}
      filterDefaultValues={{ "acknowledged_at@is": "null" }}
      filters={[
        <SelectInput
          key="open"
          source="acknowledged_at@is"
          label={t("hub.filter.open")}
          choices={[{ id: "null", name: t("hub.yes") }]}
          alwaysOn
          parse={(value: string) => value || undefined}
        />,
        <SelectInput key="level" source="escalation_level" choices={choices("hub.level", ["REMINDER", "MANAGER", "HQ_INTERVENTION"])} alwaysOn />,
      ]}
    >
      <DataTable.Col
        source="order_id"
        disableSort
        render={(row: Row) => (
          <RowLink view="orders" id={row.order_id}>
            {row.orders?.order_number}
          </RowLink>
        )}
      />
      <DataTable.Col source="partner_id" disableSort render={(row: Row) => row.orders?.partners?.business_name} />
      <DataTable.Col source="subdist_id" disableSort render={(row: Row) => row.orders?.sub_distributors?.business_name} />
      <DataTable.Col source="status" disableSort render={(row: Row) => <State group="status" value={row.orders?.status} />} />
      <DataTable.Col source="escalation_level" disableSort render={(row: Row) => word("hub.level", row.escalation_level)} />
      <DataTable.Col
        source="awaiting"
        disableSort
        render={(row: Row) => (
          <>
            {word("hub.awaiting", row.orders?.awaiting)} <Clock since={row.orders?.awaiting_since} />
          </>
        )}
      />
      <DataTable.Col source="triggered_at" render={(row: Row) => moment(row.triggered_at)} />
      <DataTable.Col
        source="acknowledged_at"
        disableSort
        render={(row: Row) =>
          row.acknowledged_at ? (
            <Flag label={moment(row.acknowledged_at)} tone="success" />
          ) : (
            <ActionBar names={["acknowledge_escalation"]} row={row} subject={escalationSubject(row)} />
          )
        }
      />
    </HubList>
  );
}
