import { BooleanInput, DataTable, email, required, SelectInput, TextInput } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import type { Row } from "../actions/actions";
import { Active, Facts, RowLink, Section } from "../components/fields";
import { HubCreate, HubEdit } from "../components/forms";
import { HubList } from "../components/HubList";
import { useWords } from "../components/hub";
import { NameInput } from "../components/references";
import { ShowPage } from "../components/ShowPage";

const ROLES = ["SALESMAN", "ADMIN", "SUPERADMIN"];

/** Accounts of the staff, for superadmins. */
export function AgentList() {
  const { t, word, choices } = useWords();
  return (
    <HubList
      sort={{ field: "full_name", order: "ASC" }}
      search={t("hub.search.any")}
      canCreate
      filters={[<SelectInput key="role" source="role" choices={choices("hub.role", ROLES)} alwaysOn />]}
    >
      <DataTable.Col source="full_name" render={(row: Row) => <RowLink view="agents" id={row.id}>{row.full_name}</RowLink>} />
      <DataTable.Col source="email" disableSort />
      <DataTable.Col source="phone" disableSort />
      <DataTable.Col source="role" render={(row: Row) => word("hub.role", row.role)} />
      <DataTable.Col source="region_id" disableSort render={(row: Row) => row.regions?.name} />
      <DataTable.Col source="is_active" disableSort render={(row: Row) => <Active row={row} />} />
    </HubList>
  );
}

function AgentFields() {
  const { choices } = useWords();
  return (
    <>
      <TextInput source="full_name" validate={required()} fullWidth />
      <TextInput source="email" type="email" validate={[required(), email()]} parse={(value: string) => value.toLowerCase()} fullWidth />
      <TextInput source="phone" fullWidth />
      <SelectInput source="role" choices={choices("hub.role", ROLES)} validate={required()} />
      <NameInput source="region_id" view="regions" />
      <BooleanInput source="is_active" />
    </>
  );
}

export const AgentEdit = () => (
  <HubEdit>
    <AgentFields />
  </HubEdit>
);

export const AgentCreate = () => (
  <HubCreate defaults={{ role: "SALESMAN", is_active: true }}>
    <AgentFields />
  </HubCreate>
);

export function AgentShow() {
  const { t, word } = useWords();
  const name = (field: string) => t(`resources.agents.fields.${field}`);
  return (
    <ShowPage
      title={(agent) => agent.full_name}
      canEdit
      audit="agents"
      actions={(agent) => <ActionBar names={["invite_agent", "revoke_agent"]} row={agent} subject={agent.full_name} />}
    >
      {(agent) => (
        <Section title={t("hub.order.facts")}>
          <Facts
            items={[
              [name("email"), agent.email],
              [name("phone"), agent.phone],
              [name("role"), word("hub.role", agent.role)],
              [name("region_id"), agent.regions?.name],
              [name("is_active"), agent.is_active ? t("hub.yes") : t("hub.no")],
            ]}
          />
        </Section>
      )}
    </ShowPage>
  );
}
