import { DataTable, SelectInput } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import type { Row } from "../actions/actions";
import { RowLink, State } from "../components/fields";
import { HubList } from "../components/HubList";
import { useWords } from "../components/hub";
import { PartnerFilter } from "../components/references";

export function PointList() {
  const { word, number, moment, choices } = useWords();
  const types = choices("points", ["EARNED", "REDEEMED", "EXPIRED", "ADJUSTED"]);
  return (
    <HubList
      sort={{ field: "created_at", order: "DESC" }}
      rowClick={false}
      filters={[
        <PartnerFilter key="partner" source="partner_id" alwaysOn />,
        <SelectInput key="type" source="type" choices={types} alwaysOn />,
      ]}
    >
      <DataTable.Col source="created_at" render={(row: Row) => moment(row.created_at)} />
      <DataTable.Col
        source="partner_id"
        disableSort
        render={(row: Row) => <RowLink view="partners" id={row.partner_id}>{row.partners?.business_name}</RowLink>}
      />
      <DataTable.Col source="type" disableSort render={(row: Row) => word("points", row.type)} />
      <DataTable.Col align="right" source="points" disableSort render={(row: Row) => number(row.points)} />
      <DataTable.Col
        source="order_id"
        disableSort
        render={(row: Row) => <RowLink view="orders" id={row.order_id}>{row.orders?.order_number}</RowLink>}
      />
      <DataTable.Col source="description" disableSort />
    </HubList>
  );
}

export function RedemptionList() {
  const { number, moment, day, choices } = useWords();
  const states = choices("redemption", ["PENDING", "SHIPPED", "DELIVERED", "CANCELLED"]);
  return (
    <HubList
      sort={{ field: "created_at", order: "DESC" }}
      rowClick={false}
      filters={[
        <SelectInput key="status" source="status" choices={states} alwaysOn />,
        <PartnerFilter key="partner" source="partner_id" alwaysOn />,
      ]}
    >
      <DataTable.Col source="created_at" render={(row: Row) => moment(row.created_at)} />
      <DataTable.Col
        source="partner_id"
        disableSort
        render={(row: Row) => <RowLink view="partners" id={row.partner_id}>{row.partners?.business_name}</RowLink>}
      />
      <DataTable.Col source="subject" disableSort render={(row: Row) => row.redemption_catalog?.name} />
      <DataTable.Col align="right" source="points_spent" disableSort render={(row: Row) => number(row.points_spent)} />
      <DataTable.Col source="status" disableSort render={(row: Row) => <State group="redemption" value={row.status} />} />
      <DataTable.Col source="shipped_at" disableSort render={(row: Row) => day(row.shipped_at)} />
      <DataTable.Col
        label="resources.redemptions.fields.action"
        disableSort
        render={(row: Row) => (
          <ActionBar
            names={["redemption_SHIPPED", "redemption_DELIVERED", "redemption_CANCELLED"]}
            row={row}
            subject={`${row.redemption_catalog?.name ?? ""}, ${row.partners?.business_name ?? ""}`}
          />
        )}
      />
    </HubList>
  );
}
