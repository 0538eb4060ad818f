import { BooleanInput, DataTable, NumberInput, required, TextInput } from "react-admin";

import type { Row } from "../actions/actions";
import { Active, EditLink } from "../components/fields";
import { HubCreate, HubEdit } from "../components/forms";
import { HubList, useCanWrite } from "../components/HubList";
import { useWords } from "../components/hub";
import { NameInput } from "../components/references";

export function BrandList() {
  const { t, number } = useWords();
  const canWrite = useCanWrite("brands");
  return (
    <HubList sort={{ field: "display_order", order: "ASC" }} search={t("hub.search.any")} canCreate={canWrite} rowClick={canWrite ? "edit" : false}>
      <DataTable.Col source="name" render={(row: Row) => (canWrite ? <EditLink view="brands" id={row.id}>{row.name}</EditLink> : row.name)} />
      <DataTable.Col align="right" source="display_order" render={(row: Row) => number(row.display_order)} />
      <DataTable.Col source="is_active" disableSort render={(row: Row) => <Active row={row} />} />
    </HubList>
  );
}

const brandFields = (
  <>
    <TextInput source="name" validate={required()} fullWidth />
    <TextInput source="logo_url" type="url" fullWidth />
    <NumberInput source="display_order" min={0} step={1} validate={required()} />
    <BooleanInput source="is_active" />
  </>
);

export const BrandEdit = () => (
  <HubEdit canDelete redirect="list">
    {brandFields}
  </HubEdit>
);
export const BrandCreate = () => (
  <HubCreate redirect="list" defaults={{ display_order: 0, is_active: true }}>
    {brandFields}
  </HubCreate>
);

const categoryFields = (
  <>
    <TextInput source="name" validate={required()} fullWidth />
    <TextInput source="slug" validate={required()} fullWidth />
    <NameInput source="parent_id" view="categories" />
    <NumberInput source="display_order" min={0} step={1} validate={required()} />
  </>
);

export const CategoryEdit = () => (
  <HubEdit canDelete redirect="list">
    {categoryFields}
  </HubEdit>
);
export const CategoryCreate = () => (
  <HubCreate redirect="list" defaults={{ display_order: 0 }}>
    {categoryFields}
  </HubCreate>
);

/** What partners redeem points for. */
export function RewardList() {
  const { t, number } = useWords();
  const canWrite = useCanWrite("redemption_catalog");
  return (
    <HubList sort={{ field: "points_required", order: "ASC" }} search={t("hub.search.any")} canCreate={canWrite} rowClick={canWrite ? "edit" : false}>
      <DataTable.Col source="name" render={(row: Row) => (canWrite ? <EditLink view="redemption_catalog" id={row.id}>{row.name}</EditLink> : row.name)} />
      <DataTable.Col align="right" source="points_required" render={(row: Row) => number(row.points_required)} />
      <DataTable.Col align="right" source="stock_available" render={(row: Row) => number(row.stock_available)} />
      <DataTable.Col source="is_active" disableSort render={(row: Row) => <Active row={row} />} />
    </HubList>
  );
}

const rewardFields = (
  <>
    <TextInput source="name" validate={required()} fullWidth />
    <TextInput source="description" multiline fullWidth />
    <TextInput source="image_url" type="url" fullWidth />
    <NumberInput source="points_required" min={1} step={1} validate={required()} />
    <NumberInput source="stock_available" min={0} step={1} validate={required()} />
    <BooleanInput source="is_active" />
  </>
);

export const RewardEdit = () => (
  <HubEdit canDelete redirect="list">
    {rewardFields}
  </HubEdit>
);
export const RewardCreate = () => (
  <HubCreate redirect="list" defaults={{ stock_available: 0, is_active: true }}>
    {rewardFields}
  </HubCreate>
);
