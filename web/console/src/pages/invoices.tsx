import { Box, Typography } from "@mui/material";
import { DataTable, DateInput, SelectArrayInput } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import { endOfDay, INVOICE_ACTIONS, reversedIds, type Row } from "../actions/actions";
import { Facts, Flag, RowLink, Section, State, Table } from "../components/fields";
import { HubList } from "../components/HubList";
import { useWords } from "../components/hub";
import { Numbers } from "../components/Numbers";
import { PartnerFilter } from "../components/references";
import { Columns, ShowPage } from "../components/ShowPage";

const STATUS = ["UNPAID", "PARTIAL", "PAID", "CANCELLED"];

export function InvoiceList() {
  const { t, money, day, choices } = useWords();
  return (
    <HubList
      sort={{ field: "created_at", order: "DESC" }}
      search={t("hub.search.invoice")}
      filters={[
        <SelectArrayInput
          key="status"
          source="status@in"
          label="resources.invoices.fields.status"
          choices={choices("invoice", STATUS)}
          alwaysOn
          sx={{ minWidth: 180 }}
        />,
        <PartnerFilter key="partner" source="partner_id" />,
        <DateInput key="due" source="due_date@lte" label="resources.invoices.fields.due_date" parse={endOfDay} format={(value?: string) => value?.slice(0, 10) ?? ""} />,
      ]}
    >
      <DataTable.Col source="invoice_number" disableSort render={(row: Row) => <RowLink view="invoices" id={row.id}>{row.invoice_number}</RowLink>} />
      <DataTable.Col source="partner_id" disableSort render={(row: Row) => row.partners?.business_name} />
      <DataTable.Col source="order_id" disableSort render={(row: Row) => <RowLink view="orders" id={row.order_id}>{row.orders?.order_number}</RowLink>} />
      <DataTable.Col source="status" disableSort render={(row: Row) => <InvoiceState invoice={row} />} />
      <DataTable.Col align="right" source="amount" disableSort render={(row: Row) => money(row.amount)} />
      <DataTable.Col align="right" source="amount_due" disableSort render={(row: Row) => money(row.amount_due)} />
      <DataTable.Col source="due_date" render={(row: Row) => day(row.due_date)} />
      <DataTable.Col source="created_at" render={(row: Row) => day(row.created_at)} />
    </HubList>
  );
}

function InvoiceState({ invoice }: { invoice: Row }) {
  const { t, money } = useWords();
  return (
    <Box component="span" sx={{ display: "inline-flex", gap: 0.5, flexWrap: "wrap" }}>
      <State group="invoice" value={invoice.status} />
      {invoice.days_overdue > 0 ? <Flag label={t("hub.invoice.overdue", { days: invoice.days_overdue })} tone="error" /> : null}
      {invoice.refund_due > 0 ? (
        <Flag label={`${t("resources.invoices.fields.refund_due")} ${money(invoice.refund_due)}`} />
      ) : null}
    </Box>
  );
}

/** The invoices of an order or a partner, each with what can be done. */
export function InvoiceTable({ invoices }: { invoices: Row[] }) {
  const { t, money, day } = useWords();
  const column = (name: string) => t(`resources.invoices.fields.${name}`);
  return (
    <Table
      label={t("hub.order.invoices")}
      rows={invoices}
      keyOf={(invoice) => invoice.id}
      columns={[
        [column("invoice_number"), (invoice) => <RowLink view="invoices" id={invoice.id}>{invoice.invoice_number}</RowLink>],
        [column("status"), (invoice) => <InvoiceState invoice={invoice} />],
        [column("due_date"), (invoice) => day(invoice.due_date)],
        [column("amount"), (invoice) => money(invoice.amount), true],
        [column("amount_due"), (invoice) => money(invoice.amount_due), true],
      ]}
      below={(invoice) => <ActionBar names={INVOICE_ACTIONS} row={invoice} subject={invoice.invoice_number} isQuiet />}
    />
  );
}

export function InvoiceShow() {
  const { t, money, day, moment } = useWords();
  const column = (name: string) => t(`resources.invoices.fields.${name}`);
  return (
    <ShowPage
      title={(invoice) => invoice.invoice_number}
      audit="invoices"
      state={(invoice) => <InvoiceState invoice={invoice} />}
      actions={(invoice) => <ActionBar names={INVOICE_ACTIONS} row={invoice} subject={invoice.invoice_number} />}
    >
      {(invoice) => (
        <Columns
          main={
            <>
              <Payments invoice={invoice} />
              {invoice.invoice_credits?.length ? (
                <Section title={t("hub.invoice.credits")}>
                  <Table
                    label={t("hub.invoice.credits")}
                    rows={invoice.invoice_credits as Row[]}
                    keyOf={(_credit, index) => String(index)}
                    columns={[
                      [column("credit_note_number"), (credit) => credit.credit_notes?.credit_note_number],
                      [column("reason"), (credit) => credit.credit_notes?.reason],
                      [column("amount"), (credit) => money(credit.amount), true],
                      [column("created_at"), (credit) => moment(credit.credit_notes?.created_at)],
                    ]}
                  />
                </Section>
              ) : null}
            </>
          }
          side={
            <Section title={t("hub.order.facts")}>
              <Facts
                items={[
                  [t("hub.order.partner"), <RowLink key="p" view="partners" id={invoice.partner_id}>{invoice.partners?.business_name ?? "–"}</RowLink>],
                  [column("order_id"), <RowLink key="o" view="orders" id={invoice.order_id}>{invoice.orders?.order_number}</RowLink>],
                  [column("amount"), money(invoice.amount)],
                  [column("amount_paid"), money(invoice.amount_paid)],
                  [column("amount_credited"), invoice.amount_credited ? money(invoice.amount_credited) : ""],
                  [column("amount_written_off"), invoice.amount_written_off ? money(invoice.amount_written_off) : ""],
                  [column("amount_due"), <strong key="d">{money(invoice.amount_due)}</strong>],
                  [column("refund_due"), invoice.refund_due ? money(invoice.refund_due) : ""],
                  [column("due_date"), day(invoice.due_date)],
                  [column("paid_at"), day(invoice.paid_at)],
                  [t("hub.invoice.issue_reason"), invoice.issue_reason],
                  [t("hub.invoice.cancel_reason"), invoice.cancel_reason],
                  [t("hub.invoice.write_off_reason"), invoice.write_off_reason],
                  [column("created_at"), moment(invoice.created_at)],
                ]}
              />
            </Section>
          }
        />
      )}
    </ShowPage>
  );
}

function Payments({ invoice }: { invoice: Row }) {
  const { t, word, money, day } = useWords();
  const payments = [...((invoice.invoice_payments ?? []) as Row[])].sort((a, b) => String(a.created_at).localeCompare(String(b.created_at)));
  const reversed = reversedIds(payments);
  const column = (name: string) => t(`resources.invoices.fields.${name}`);
  return (
    <Section title={t("hub.invoice.payments")}>
      <Table
        label={t("hub.invoice.payments")}
        rows={payments}
        keyOf={(payment) => payment.id}
        columns={[
          [
            column("kind"),
            (payment) => (
              <>
                {word("hub.invoice.kind", payment.kind)}
                {reversed.has(payment.id) ? <Typography variant="caption"> ({t("hub.invoice.reversed")})</Typography> : null}
              </>
            ),
          ],
          [column("amount"), (payment) => money(payment.amount), true],
          [column("payment_method"), (payment) => word("hub.payment_method", payment.payment_method)],
          [column("reference_number"), (payment) => payment.reference_number],
          [column("paid_at"), (payment) => day(payment.paid_at)],
          [column("notes"), (payment) => payment.notes],
        ]}
        below={(payment) => (
          <ActionBar
            names={["reverse_payment"]}
            row={{ ...payment, is_reversed: reversed.has(payment.id) }}
            subject={`${money(payment.amount)} ${payment.reference_number ?? ""}`}
          />
        )}
      />
    </Section>
  );
}

export function PaymentList() {
  const { t, word, money, day, moment } = useWords();
  return (
    <HubList
      sort={{ field: "created_at", order: "DESC" }}
      rowClick={false}
      filters={[<PartnerFilter key="partner" source="partner_id" alwaysOn />]}
    >
      <DataTable.Col source="created_at" render={(row: Row) => moment(row.created_at)} />
      <DataTable.Col source="partner_id" disableSort render={(row: Row) => row.invoices?.partners?.business_name} />
      <DataTable.Col
        source="invoice_number"
        disableSort
        render={(row: Row) => <RowLink view="invoices" id={row.invoice_id}>{row.invoices?.invoice_number}</RowLink>}
      />
      <DataTable.Col source="kind" disableSort render={(row: Row) => t(`hub.invoice.kind.${row.kind}`)} />
      <DataTable.Col align="right" source="amount" disableSort render={(row: Row) => money(row.amount)} />
      <DataTable.Col source="payment_method" disableSort render={(row: Row) => word("hub.payment_method", row.payment_method)} />
      <DataTable.Col source="reference_number" disableSort />
      <DataTable.Col source="paid_at" disableSort render={(row: Row) => day(row.paid_at)} />
    </HubList>
  );
}

export function CreditNoteList() {
  const { t, money, number, moment } = useWords();
  return (
    <HubList sort={{ field: "created_at", order: "DESC" }} rowClick={false} search={t("hub.search.any")}>
      <DataTable.Col source="credit_note_number" disableSort render={(row: Row) => <Numbers text={row.credit_note_number} />} />
      <DataTable.Col source="partner_id" disableSort render={(row: Row) => row.orders?.partners?.business_name} />
      <DataTable.Col
        source="order_id"
        disableSort
        render={(row: Row) => <RowLink view="orders" id={row.order_id}>{row.orders?.order_number}</RowLink>}
      />
      <DataTable.Col source="reason" disableSort />
      <DataTable.Col align="right" source="amount" disableSort render={(row: Row) => money(row.amount)} />
      <DataTable.Col align="right" source="points_returned" disableSort render={(row: Row) => number(row.points_returned)} />
      <DataTable.Col source="created_at" render={(row: Row) => moment(row.created_at)} />
    </HubList>
  );
}
