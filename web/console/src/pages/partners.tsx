import { isoDay } from "@alfa-hub/common/format";
import { openShop } from "@alfa-hub/common/shadow";
import { Box, Button, LinearProgress, Stack, TextField, Typography } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, lazy, Suspense, useState } from "react";
import {
  BooleanInput,
  DataTable,
  email,
  minValue,
  NullableBooleanInput,
  NumberInput,
  required,
  SelectInput,
  TextInput,
  useNotify,
} from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import type { Row } from "../actions/actions";
import { FailureNote } from "../components/FailureNote";
import { Active, Facts, Flag, RowLink, Section, Table } from "../components/fields";
import { HubCreate, HubEdit } from "../components/forms";
import { HubList, useCanWrite } from "../components/HubList";
import { useIsHeadquarters, useProvider, useWords } from "../components/hub";
import { QueryPart, useRelated } from "../components/query";
import { NameInput } from "../components/references";
import { Columns, ShowPage } from "../components/ShowPage";
import { sentence } from "../provider/failure";
import { InvoiceTable } from "./invoices";
import { OrderTable } from "./subdistributors";

const PartnerChart = lazy(() => import("../charts/PartnerChart"));

export const TIERS = ["SILVER", "GOLD", "PLATINUM"];
const SALONS = ["BARBER", "BRIDAL", "UNISEX", "OTHER"];

export function PartnerList() {
  const { t, word, money, choices } = useWords();
  return (
    <HubList
      sort={{ field: "business_name", order: "ASC" }}
      search={t("hub.search.any")}
      canCreate={useCanWrite("partners")}
      filters={[
        <SelectInput key="tier" source="tier" choices={choices("hub.tier", TIERS)} alwaysOn />,
        <NameInput key="region" source="region_id" view="regions" />,
        <NullableBooleanInput key="active" source="is_active" />,
      ]}
    >
      <DataTable.Col source="business_name" render={(row: Row) => <RowLink view="partners" id={row.id}>{row.business_name}</RowLink>} />
      <DataTable.Col source="region_id" disableSort render={(row: Row) => row.regions?.name} />
      <DataTable.Col source="tier" render={(row: Row) => word("hub.tier", row.tier)} />
      <DataTable.Col source="phone" disableSort />
      <DataTable.Col align="right" source="credit_used" render={(row: Row) => money(row.credit_used)} />
      <DataTable.Col align="right" source="credit_limit" render={(row: Row) => money(row.credit_limit)} />
      <DataTable.Col source="is_active" disableSort render={(row: Row) => <Active row={row} />} />
    </HubList>
  );
}

function PartnerFields() {
  const { choices } = useWords();
  return (
    <>
      <TextInput source="business_name" validate={required()} fullWidth />
      <TextInput source="email" type="email" validate={[required(), email()]} parse={(value: string) => value.toLowerCase()} fullWidth />
      <TextInput source="phone" fullWidth />
      <SelectInput source="tier" choices={choices("hub.tier", TIERS)} validate={required()} />
      <NameInput source="region_id" view="regions" />
      <NumberInput source="credit_limit" min={0} step={1} validate={[required(), minValue(0)]} />
      <TextInput source="address" multiline fullWidth />
      <SelectInput source="salon_type" choices={choices("hub.salon", SALONS)} />
      <NumberInput source="chair_count" min={0} step={1} />
      <TextInput source="specialization" fullWidth />
      <BooleanInput source="is_active" />
    </>
  );
}

export function PartnerEdit() {
  return (
    <HubEdit>
      <PartnerFields />
    </HubEdit>
  );
}

export function PartnerCreate() {
  const { t } = useWords();
  return (
    <HubCreate defaults={{ tier: "SILVER", credit_limit: 0, is_active: true }}>
      <Typography variant="body2" sx={{ mb: 2 }}>
        {t("hub.partner.created_hint")}
      </Typography>
      <PartnerFields />
    </HubCreate>
  );
}

export function PartnerShow() {
  const { t } = useWords();
  const isHeadquarters = useIsHeadquarters();
  return (
    <ShowPage
      title={(partner) => partner.business_name}
      canEdit
      audit="partners"
      state={(partner) => (partner.is_active ? null : <Flag label={`${t("resources.partners.fields.is_active")}: ${t("hub.no")}`} />)}
      actions={(partner) => <ShadowButton partner={partner} />}
    >
      {(partner) => (
        <Columns
          main={
            <>
              <Section title={t("hub.partner.orders")}>
                <OrderTable target="partner_id" id={partner.id} />
              </Section>
              <OpenInvoices partner={partner} />
              <Statement partner={partner} />
            </>
          }
          side={
            <>
              <Master partner={partner} />
              <Credit partner={partner} />
              <Section title={t("hub.partner.months")}>
                {/* As high as the chart, which comes later: what is below it stays where it is. */}
                <Box sx={{ minHeight: 210 }}>
                  <Suspense fallback={<LinearProgress aria-label={t("ra.page.loading")} />}>
                    <PartnerChart partner={String(partner.id)} />
                  </Suspense>
                </Box>
              </Section>
              {isHeadquarters ? <Points partner={partner} /> : null}
            </>
          }
        />
      )}
    </ShowPage>
  );
}

/** Order for a partner: opens the shop in a new window, which acts with the token of a shadow session. */
function ShadowButton({ partner }: { partner: Row }) {
  const { t } = useWords();
  const provider = useProvider();
  const notify = useNotify();
  const open = () => {
    const token = provider.call("start_shadow_session", { partner_id: partner.id }).then((session) => {
      const { access_token } = session as { access_token: string | null };
      if (!access_token) throw new Error("The hub returned no token");
      return access_token;
    });
    token.catch((error: unknown) => notify(sentence(error), { type: "error" }));
    if (!openShop("../", token)) notify("hub.partner.shadow_blocked", { type: "warning" });
  };
  if (!partner.is_active) return null;
  return (
    <Button variant="contained" size="small" onClick={open}>
      {t("hub.partner.shadow")}
    </Button>
  );
}

function Master({ partner }: { partner: Row }) {
  const { t, word, number } = useWords();
  const name = (field: string) => t(`resources.partners.fields.${field}`);
  return (
    <Section title={t("hub.partner.master")}>
      <Facts
        items={[
          [name("email"), partner.email],
          [name("phone"), partner.phone],
          [name("tier"), word("hub.tier", partner.tier)],
          [name("region_id"), partner.regions?.name],
          [name("address"), partner.address],
          [name("salon_type"), word("hub.salon", partner.salon_type)],
          [name("chair_count"), number(partner.chair_count)],
          [name("specialization"), partner.specialization],
        ]}
      />
      <Box sx={{ mt: 1.5 }}>
        <ActionBar
          names={["invite_partner", "revoke_partner", "delete_partner", "erase_partner"]}
          row={partner}
          subject={partner.business_name}
          isQuiet
        />
      </Box>
    </Section>
  );
}

function Credit({ partner }: { partner: Row }) {
  const { t, money } = useWords();
  const left = Number(partner.credit_limit) - Number(partner.credit_used);
  const share = partner.credit_limit > 0 ? Math.min(100, (100 * partner.credit_used) / partner.credit_limit) : 0;
  return (
    <Section title={t("hub.partner.credit")}>
      <LinearProgress
        variant="determinate"
        value={share}
        color={left < 0 ? "error" : "primary"}
        aria-label={t("resources.partners.fields.credit_used")}
        sx={{ height: 8, borderRadius: 1, mb: 1 }}
      />
      <Facts
        items={[
          [t("resources.partners.fields.credit_limit"), money(partner.credit_limit)],
          [t("resources.partners.fields.credit_used"), money(partner.credit_used)],
          [t("hub.partner.credit_left"), <strong key="l">{money(left)}</strong>],
        ]}
      />
    </Section>
  );
}

function OpenInvoices({ partner }: { partner: Row }) {
  const { t, money } = useWords();
  const invoices = useRelated("invoices", "partner_id", partner.id, {
    newest: "created_at",
    filter: { "status@in": ["UNPAID", "PARTIAL"] },
    perPage: 50,
  });
  const ages = useRelated("receivables", "partner_id", partner.id, { newest: "id" });
  const name = (field: string) => t(`resources.receivables.fields.${field}`);
  return (
    <QueryPart title={t("hub.partner.receivable")} query={invoices}>
      {(open) => (
        <>
          {ages.data?.length ? (
            <Table
              label={t("hub.partner.receivable")}
              rows={ages.data}
              keyOf={() => "ages"}
              columns={["amount_due", "not_overdue", "overdue_1_30", "overdue_31_60", "overdue_61_90", "overdue_over_90"].map(
                (field) => [name(field), (row: Row) => money(row[field]), true],
              )}
            />
          ) : null}
          <Box sx={{ mt: 2 }}>
            <InvoiceTable invoices={open} />
          </Box>
        </>
      )}
    </QueryPart>
  );
}

interface StatementAnswer {
  opening_balance: number;
  closing_balance: number;
  lines: Row[] | null;
}

/** The account statement of a period, between opening and closing balance. */
function Statement({ partner }: { partner: Row }) {
  const { t, word, money, day } = useWords();
  const provider = useProvider();
  const today = new Date();
  const [period, setPeriod] = useState({ from: isoDay(new Date(today.getTime() - 30 * 86_400_000)), until: isoDay(today) });
  const [asked, setAsked] = useState(period);
  const { data, error, refetch } = useQuery({
    queryKey: ["account_statement", partner.id, asked],
    queryFn: async () =>
      (await provider.call("account_statement", {
        partner_id: partner.id,
        from_date: asked.from,
        to_date: asked.until,
      })) as unknown as StatementAnswer,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAsked(period);
  };
  const name = (field: string) => t(`resources.invoices.fields.${field}`);
  return (
    <Section title={t("hub.partner.statement")}>
      <Stack component="form" direction="row" onSubmit={submit} sx={{ gap: 1, mb: 2, alignItems: "center", flexWrap: "wrap" }}>
        {(["from", "until"] as const).map((edge) => (
          <TextField
            key={edge}
            size="small"
            type="date"
            required
            fullWidth={false}
            sx={{ width: 170 }}
            label={t(`hub.filter.${edge}`)}
            value={period[edge]}
            onChange={(event) => setPeriod({ ...period, [edge]: event.target.value })}
            slotProps={{ inputLabel: { shrink: true } }}
          />
        ))}
        <Button type="submit" variant="outlined" size="small">
          {t("hub.partner.show")}
        </Button>
      </Stack>
      {error ? <FailureNote error={error} retry={() => void refetch()} /> : null}
      {data ? (
        <>
          <Typography variant="body2">
            {t("hub.partner.opening")}: {money(data.opening_balance)}
          </Typography>
          <Table
            label={t("hub.partner.statement")}
            rows={data.lines ?? []}
            keyOf={(_line, index) => String(index)}
            columns={[
              [t("hub.partner.booking"), (line) => day(line.booked_at)],
              [t("hub.partner.value_date"), (line) => day(line.value_date)],
              [name("kind"), (line) => word("booking", line.kind)],
              [name("invoice_number"), (line) => <RowLink view="invoices" id={line.invoice_id}>{line.invoice_number}</RowLink>],
              [t("hub.partner.reference"), (line) => (line.reference === line.invoice_number ? "" : line.reference)],
              [name("amount"), (line) => money(line.amount), true],
              [t("hub.partner.balance"), (line) => money(line.balance), true],
            ]}
          />
          <Typography variant="body2" sx={{ mt: 1, fontWeight: 600 }}>
            {t("hub.partner.closing")}: {money(data.closing_balance)}
          </Typography>
        </>
      ) : null}
    </Section>
  );
}

function Points({ partner }: { partner: Row }) {
  const { t, word, number, day } = useWords();
  const query = useRelated("point_transactions", "partner_id", partner.id, { newest: "created_at", perPage: 10 });
  const name = (field: string) => t(`resources.point_transactions.fields.${field}`);
  return (
    <QueryPart
      title={`${t("hub.partner.points")}: ${number(partner.point_balance)}`}
      actions={<ActionBar names={["adjust_points", "expire_points"]} row={partner} subject={partner.business_name} />}
      query={query}
    >
      {(rows) => (
        <Table
          label={t("hub.partner.points")}
          rows={rows}
          keyOf={(row) => row.id}
          columns={[
            [name("created_at"), (row) => day(row.created_at)],
            [name("type"), (row) => word("points", row.type)],
            [name("points"), (row) => number(row.points), true],
            [name("description"), (row) => row.description],
          ]}
        />
      )}
    </QueryPart>
  );
}
