import { Typography } from "@mui/material";
import { DataTable, minValue, NullableBooleanInput, NumberInput, required, useRecordContext } from "react-admin";

import type { Row } from "../actions/actions";
import { EditLink, Flag } from "../components/fields";
import { HubEdit } from "../components/forms";
import { HubList } from "../components/HubList";
import { useWords } from "../components/hub";
import { Numbers } from "../components/Numbers";

export function StockList() {
  const { t, number, moment } = useWords();
  return (
    <HubList
      sort={{ field: "products(name)", order: "ASC" }}
      search={t("hub.search.any")}
      rowClick="edit"
      filters={[<NullableBooleanInput key="active" source="products.is_active" label="resources.products.fields.is_active" />]}
    >
      <DataTable.Col source="products(sku)" label="resources.products.fields.sku" render={(row: Row) => <EditLink view="inventory" id={row.id}>{row.products?.sku}</EditLink>} />
      <DataTable.Col source="products(name)" label="resources.products.fields.product_id" render={(row: Row) => row.products?.name} />
      <DataTable.Col align="right" source="erp_stock" render={(row: Row) => number(row.erp_stock)} />
      <DataTable.Col align="right" source="safety_buffer" render={(row: Row) => number(row.safety_buffer)} />
      <DataTable.Col align="right" source="reserved" render={(row: Row) => number(row.reserved)} />
      <DataTable.Col align="right" source="display_stock" render={(row: Row) => <strong>{number(row.display_stock)}</strong>} />
      <DataTable.Col
        source="last_sync_at"
        render={(row: Row) => (
          <>
            {moment(row.last_sync_at)} {row.products?.stock_stale ? <Flag label={t("hub.product.stale")} /> : null}
          </>
        )}
      />
    </HubList>
  );
}

export const StockEdit = () => (
  <HubEdit redirect="list">
    <ProductName />
    <NumberInput source="erp_stock" min={0} step={1} validate={[required(), minValue(0)]} />
    <NumberInput source="safety_buffer" min={0} step={1} validate={[required(), minValue(0)]} />
  </HubEdit>
);

function ProductName() {
  const row = useRecordContext<Row & { id: string }>();
  return (
    <Typography sx={{ mb: 2 }}>
      <Numbers text={`${row?.products?.sku ?? ""} ${row?.products?.name ?? ""}`} />
    </Typography>
  );
}
