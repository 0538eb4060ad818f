import { Box, Button, TextField as Input, Typography } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { DataTable, type RaRecord, ReferenceField, SelectInput, TextField, TextInput, useNotify, useRefresh } from "react-admin";

import type { Row } from "../actions/actions";
import { FormDialog } from "../components/FormDialog";
import { useSubmit } from "../components/failing";
import { Facts, Flag, RowLink, Section, State, Table } from "../components/fields";
import { HubList } from "../components/HubList";
import { useProvider, useRole, useWords } from "../components/hub";
import { Numbers } from "../components/Numbers";
import { heldPress } from "../components/press";
import { QueryPart } from "../components/query";
import { ShowPage } from "../components/ShowPage";
import { isCut } from "../provider/page";
import texts from "../texts/id";
import { configText, configValue } from "./configValues";
import { quarantineReason } from "./quarantineReason";

export function ConfigList() {
  const { t, moment, description } = useWords();
  return (
    <HubList sort={{ field: "config_key", order: "ASC" }} search={t("hub.search.any")} perPage={50}>
      <DataTable.Col source="config_key" render={(row: Row) => <RowLink view="system_configs" id={row.id}>{row.config_key}</RowLink>} />
      <DataTable.Col source="config_value" disableSort render={(row: Row) => <code>{configText(row.config_value)}</code>} />
      <DataTable.Col source="description" disableSort render={(row: Row) => description(row.config_key, row.description)} />
      <DataTable.NumberCol source="version" disableSort />
      <DataTable.Col source="updated_at" label="resources.system_configs.fields.last_seen_at" render={(row: Row) => moment(row.updated_at)} />
    </HubList>
  );
}

export function ConfigShow() {
  const { t, number, moment, description } = useWords();
  const role = useRole();
  const name = (field: string) => t(`resources.system_configs.fields.${field}`);
  return (
    <ShowPage title={(config) => config.config_key} actions={(config) => <ConfigButton config={config} />}>
      {(config) => (
        <>
          <Section title={t("hub.order.facts")}>
            <Facts
              items={[
                [name("config_value"), <code key="v">{configText(config.config_value)}</code>],
                [name("description"), description(config.config_key, config.description)],
                [name("version"), number(config.version)],
                [name("last_seen_at"), moment(config.updated_at)],
              ]}
            />
          </Section>
          {role === "superadmin" ? <ConfigHistory config={config} /> : null}
        </>
      )}
    </ShowPage>
  );
}

function ConfigButton({ config }: { config: Row }) {
  const { t } = useWords();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button variant="contained" size="small" {...heldPress} onClick={() => setOpen(true)}>
        {t("hub.config.edit")}
      </Button>
      {isOpen ? <ConfigDialog config={config} close={() => setOpen(false)} /> : null}
    </>
  );
}

function ConfigDialog({ config, close }: { config: Row; close: () => void }) {
  const { t, description } = useWords();
  const provider = useProvider();
  const notify = useNotify();
  const refresh = useRefresh();
  const [typed, setTyped] = useState(() => configText(config.config_value));
  const { failure, isSending, submit } = useSubmit();
  const isNumber = typeof config.config_value === "number";
  const read = () => {
    try {
      return configValue(config.config_value, typed);
    } catch {
      throw new Error(t("hub.config.invalid_json"));
    }
  };
  const save = () =>
    submit(async () => {
      await provider.call("set_config", { config_key: config.config_key, config_value: read() });
      notify("hub.config.changed", { type: "success" });
      close();
      refresh();
    });
  return (
    <FormDialog
      title={config.config_key}
      about={description(config.config_key, config.description)}
      confirm={t("ra.action.save")}
      isSending={isSending}
      failure={failure?.message ?? ""}
      onSubmit={() => void save()}
      onClose={close}
    >
      <Input
        label={t("resources.system_configs.fields.config_value")}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        type={isNumber ? "number" : "text"}
        multiline={!isNumber}
        required
        fullWidth
        autoFocus
        slotProps={{ htmlInput: { step: "any" } }}
      />
    </FormDialog>
  );
}

function ConfigHistory({ config }: { config: Row }) {
  const { t, number, moment } = useWords();
  const provider = useProvider();
  const query = useQuery({
    queryKey: ["system_config_history", "getManyReference", config.config_key],
    queryFn: async ({ signal }) => {
      const history = await provider.getManyReference("system_config_history", {
        target: "config_key",
        id: config.config_key,
        pagination: { page: 1, perPage: 50 },
        sort: { field: "changed_at", order: "DESC" },
        filter: {},
        signal,
      });
      const ids = [...new Set(history.data.map((row) => row.changed_by).filter(Boolean))];
      const staff = ids.length > 0 ? (await provider.getMany("staff", { ids })).data : [];
      return { rows: history.data as Row[], isCut: isCut(history), names: new Map(staff.map((one) => [one.id, String(one.full_name)])) };
    },
  });
  return (
    <QueryPart title={t("hub.config.history")} query={{ ...query, isCut: query.data?.isCut ?? false }}>
      {({ rows, names }) => (
        <Table
          label={t("hub.config.history")}
          rows={rows}
          keyOf={(row) => row.id}
          columns={[
            [t("resources.system_configs.fields.version"), (row) => number(row.version), true],
            [t("hub.config.old"), (row) => <code>{configText(row.old_value)}</code>],
            [t("hub.config.new"), (row) => <code>{configText(row.new_value)}</code>],
            [t("resources.system_configs.fields.created_at"), (row) => moment(row.changed_at)],
            [t("resources.agents.fields.full_name"), (row) => names.get(row.changed_by) ?? t("hub.audit.system")],
          ]}
        />
      )}
    </QueryPart>
  );
}

/** Tables with a trail. */
const TABLES = [
  "agent_sessions",
  "agents",
  "brands",
  "categories",
  "credit_note_items",
  "credit_notes",
  "inventory",
  "invoice_credits",
  "invoice_payments",
  "invoices",
  "order_items",
  "orders",
  "partners",
  "point_transactions",
  "products",
  "redemption_catalog",
  "redemptions",
  "regions",
  "sub_distributors",
  "system_configs",
  "tier_prices",
];

/** Columns of a row that are shown at once; more unfold. */
const FEW = 5;

/** A value of the trail: one line for each column that is not null. */
function Values({ value, label }: { value: unknown; label: string }) {
  const { number } = useWords();
  if (!value || typeof value !== "object") return null;
  const columns = Object.entries(value).filter(([, one]) => one !== null);
  const list = (
    <Box component="ul" sx={{ m: 0, pl: 2, fontSize: "0.8rem", overflowWrap: "anywhere", maxWidth: 380 }}>
      {columns.map(([column, one]) => (
        <li key={column}>
          {column}: <Numbers text={configText(one)} />
        </li>
      ))}
    </Box>
  );
  if (columns.length <= FEW) return list;
  return (
    <details>
      <summary>
        {label} ({number(columns.length)})
      </summary>
      {list}
    </details>
  );
}

/** Who did it, by name where the console may know it. */
function Actor({ row }: { row: Row }) {
  const { t, word } = useWords();
  const role = word("role", row.actor_role) || t("hub.audit.system");
  const view = row.actor_type === "AGENT" ? "staff" : row.actor_type === "PARTNER" ? "partners" : undefined;
  if (!view || !row.actor_id) return <>{role}</>;
  const source = view === "staff" ? "full_name" : "business_name";
  return (
    <>
      <ReferenceField record={row as RaRecord} source="actor_id" reference={view} link={false} emptyText={role}>
        <TextField source={source} />
      </ReferenceField>{" "}
      <Typography variant="caption">({role})</Typography>
    </>
  );
}

export function AuditList() {
  const { t, moment, word, table, choices } = useWords();
  return (
    <HubList
      sort={{ field: "created_at", order: "DESC" }}
      rowClick={false}
      filters={[
        <SelectInput key="type" source="target_type" choices={TABLES.map((id) => ({ id, name: table(id) }))} alwaysOn />,
        <TextInput key="id" source="target_id" alwaysOn sx={{ minWidth: 320 }} />,
        <SelectInput key="action" source="action" choices={choices("hub.audit_action", ["INSERT", "UPDATE", "DELETE", "EXPORT"])} alwaysOn />,
      ]}
    >
      <DataTable.Col source="created_at" render={(row: Row) => moment(row.created_at)} />
      <DataTable.Col source="target_type" disableSort render={(row: Row) => table(row.target_type)} />
      <DataTable.Col source="action" disableSort render={(row: Row) => word("hub.audit_action", row.action)} />
      <DataTable.Col source="actor_role" disableSort render={(row: Row) => <Actor row={row} />} />
      <DataTable.Col label="hub.audit.before" disableSort render={(row: Row) => <Values value={row.old_value} label={t("hub.audit.before")} />} />
      <DataTable.Col label="hub.audit.after" disableSort render={(row: Row) => <Values value={row.new_value} label={t("hub.audit.after")} />} />
      <DataTable.Col source="ip_address" disableSort />
    </HubList>
  );
}

const TEMPLATES = Object.keys(texts.hub.template);

export function MessageList() {
  const { word, moment, choices } = useWords();
  const states = ["HELD", "PENDING", "CLAIMED", "UNKNOWN", "SENT", "DELIVERED", "READ", "FAILED", "WITHDRAWN"];
  return (
    <HubList
      sort={{ field: "created_at", order: "DESC" }}
      rowClick={false}
      filters={[
        <SelectInput key="status" source="status" choices={choices("hub.message_status", states)} alwaysOn />,
        <SelectInput key="channel" source="channel" choices={choices("hub.channel", ["WHATSAPP", "EMAIL"])} alwaysOn />,
        <SelectInput key="template" source="template" choices={choices("hub.template", TEMPLATES)} alwaysOn />,
      ]}
    >
      <DataTable.Col source="created_at" render={(row: Row) => moment(row.created_at)} />
      <DataTable.Col source="template" disableSort render={(row: Row) => word("hub.template", row.template)} />
      <DataTable.Col source="channel" disableSort render={(row: Row) => word("hub.channel", row.channel)} />
      <DataTable.Col source="recipient_type" disableSort render={(row: Row) => word("hub.recipient", row.recipient_type)} />
      <DataTable.Col
        source="order_id"
        disableSort
        render={(row: Row) => <RowLink view="orders" id={row.order_id}>{row.orders?.order_number}</RowLink>}
      />
      <DataTable.Col source="status" disableSort render={(row: Row) => <State group="hub.message_status" value={row.status} />} />
      <DataTable.NumberCol source="attempts" disableSort />
      <DataTable.Col source="error_code" disableSort render={(row: Row) => word("hub.message_cause", row.error_code)} />
    </HubList>
  );
}

export function JobList() {
  const { t, number, moment, duration, description } = useWords();
  return (
    <HubList sort={{ field: "job", order: "ASC" }} rowClick={false} perPage={100}>
      <DataTable.Col source="job" />
      <DataTable.Col source="schedule" disableSort render={(row: Row) => <code className="nowrap">{row.schedule}</code>} />
      {/* Streams of the ERP and standbys are "erp:stock" and "standby:b". */}
      <DataTable.Col source="description" disableSort render={(row: Row) => description(row.job.split(":")[0], row.description)} />
      <DataTable.Col
        source="is_late"
        render={(row: Row) =>
          row.is_late ? <Flag label={t("hub.job.late")} tone="error" /> : <Flag label={t("hub.job.ok")} tone="success" />
        }
      />
      <DataTable.Col source="last_succeeded_at" render={(row: Row) => moment(row.last_succeeded_at)} />
      <DataTable.Col
        source="backlog"
        render={(row: Row) =>
          row.backlog === null ? "" : `${number(row.backlog)}${row.backlog_seconds > 0 ? ` · ${duration(row.backlog_seconds * 1000)}` : ""}`
        }
      />
      <DataTable.Col
        source="last_error"
        disableSort
        render={(row: Row) => (
          <>
            {row.failing ? <Flag label={t("hub.job.failing", { count: row.failing })} /> : null} {row.last_error}
          </>
        )}
      />
    </HubList>
  );
}

export function QuarantineList() {
  const { t, moment } = useWords();
  return (
    <HubList sort={{ field: "first_seen_at", order: "ASC" }} rowClick={false}>
      <DataTable.Col source="stream" />
      <DataTable.Col source="key" disableSort />
      <DataTable.Col source="reason" disableSort render={(row: Row) => quarantineReason(row.reason, t)} />
      <DataTable.Col source="details" disableSort render={(row: Row) => <Values value={row.payload} label={t("resources.erp_quarantine.fields.details")} />} />
      <DataTable.Col source="first_seen_at" render={(row: Row) => moment(row.first_seen_at)} />
      <DataTable.Col source="last_seen_at" render={(row: Row) => moment(row.last_seen_at)} />
      <DataTable.NumberCol source="times" disableSort />
    </HubList>
  );
}

export function SessionList() {
  const { moment } = useWords();
  return (
    <HubList sort={{ field: "started_at", order: "DESC" }} rowClick={false}>
      <DataTable.Col source="started_at" render={(row: Row) => moment(row.started_at)} />
      <DataTable.Col source="full_name" disableSort render={(row: Row) => row.agents?.full_name} />
      <DataTable.Col
        source="partner_id"
        disableSort
        render={(row: Row) => <RowLink view="partners" id={row.impersonated_partner_id}>{row.partners?.business_name}</RowLink>}
      />
      <DataTable.Col source="ended_at" disableSort render={(row: Row) => moment(row.ended_at ?? row.expires_at)} />
      <DataTable.Col source="ip_address" disableSort />
    </HubList>
  );
}
