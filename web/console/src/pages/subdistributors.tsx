import { Typography } from "@mui/material";
import { DataTable, email, required, SelectInput, TextInput } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import type { Row } from "../actions/actions";
import { FailureNote } from "../components/FailureNote";
import { Clock, CutNote, Facts, RowLink, Section, State, Table } from "../components/fields";
import { HubCreate, HubEdit } from "../components/forms";
import { HubList, useCanWrite } from "../components/HubList";
import { useWords } from "../components/hub";
import { useRelated } from "../components/query";
import { NameInput } from "../components/references";
import { Columns, ShowPage } from "../components/ShowPage";

const STATUS = ["ACTIVE", "SUSPENDED"];

export function SubdistList() {
  const { t, choices } = useWords();
  return (
    <HubList
      sort={{ field: "business_name", order: "ASC" }}
      search={t("hub.search.any")}
      canCreate={useCanWrite("sub_distributors")}
      filters={[
        <SelectInput key="status" source="status" choices={choices("hub.subdist_status", STATUS)} alwaysOn />,
        <NameInput key="region" source="region_id" view="regions" />,
      ]}
    >
      <DataTable.Col source="business_name" render={(row: Row) => <RowLink view="sub_distributors" id={row.id}>{row.business_name}</RowLink>} />
      <DataTable.Col source="region_id" disableSort render={(row: Row) => row.regions?.name} />
      <DataTable.Col source="contact_person" disableSort />
      <DataTable.Col source="whatsapp_number" disableSort />
      <DataTable.Col source="status" disableSort render={(row: Row) => <State group="hub.subdist_status" value={row.status} />} />
    </HubList>
  );
}

function SubdistFields() {
  const { t, choices } = useWords();
  return (
    <>
      <TextInput source="business_name" validate={required()} fullWidth />
      <NameInput source="region_id" view="regions" validate={required()} />
      <TextInput source="whatsapp_number" validate={required()} fullWidth />
      <TextInput source="email" validate={email()} fullWidth />
      <TextInput source="contact_person" fullWidth />
      <SelectInput source="status" choices={choices("hub.subdist_status", STATUS)} validate={required()} helperText={t("hub.subdist.suspend_hint")} />
    </>
  );
}

export const SubdistEdit = () => (
  <HubEdit canDelete>
    <SubdistFields />
  </HubEdit>
);

export const SubdistCreate = () => (
  <HubCreate defaults={{ status: "ACTIVE" }}>
    <SubdistFields />
  </HubCreate>
);

export function SubdistShow() {
  const { t } = useWords();
  const name = (field: string) => t(`resources.sub_distributors.fields.${field}`);
  return (
    <ShowPage
      title={(subdist) => subdist.business_name}
      canEdit
      audit="sub_distributors"
      state={(subdist) => <State group="hub.subdist_status" value={subdist.status} />}
    >
      {(subdist) => (
        <Columns
          main={
            <Section title={t("hub.subdist.orders")}>
              <OrderTable target="routed_to_subdist_id" id={subdist.id} />
            </Section>
          }
          side={
            <Section
              title={t("hub.order.facts")}
              actions={<ActionBar names={["revoke_subdist"]} row={subdist} subject={subdist.business_name} />}
            >
              <Facts
                items={[
                  [name("region_id"), subdist.regions?.name],
                  [name("contact_person"), subdist.contact_person],
                  [name("whatsapp_number"), subdist.whatsapp_number],
                  [name("email"), subdist.email],
                ]}
              />
            </Section>
          }
        />
      )}
    </ShowPage>
  );
}

/** The newest orders of a partner or a sub-distributor. */
export function OrderTable({ target, id }: { target: string; id: string }) {
  const { t, word, money, day } = useWords();
  const { data, isCut, error, refetch } = useRelated("orders", target, id, { newest: "created_at", perPage: 15 });
  if (error) return <FailureNote error={error} retry={() => void refetch()} />;
  if (!data) return null;
  const name = (field: string) => t(`resources.orders.fields.${field}`);
  return (
    <>
      <Table
        label={t("hub.partner.orders")}
        rows={data}
        keyOf={(row) => row.id}
        columns={[
          [name("order_number"), (row) => <RowLink view="orders" id={row.id}>{row.order_number}</RowLink>],
          ...(target === "partner_id"
            ? []
            : [[name("partner_id"), (row: Row) => row.partners?.business_name] as [string, (row: Row) => string]]),
          [name("status"), (row) => <State group="status" value={row.status} />],
          [
            name("awaiting"),
            (row) =>
              row.awaiting_since ? (
                <Typography variant="body2" component="span">
                  {word("hub.awaiting", row.awaiting)} · <Clock since={row.awaiting_since} />
                </Typography>
              ) : (
                "–"
              ),
          ],
          [name("grand_total"), (row) => money(row.grand_total), true],
          [name("created_at"), (row) => day(row.created_at)],
        ]}
      />
      {isCut ? <CutNote /> : null}
    </>
  );
}
