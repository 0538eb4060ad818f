import { Typography } from "@mui/material";
import { DataTable, DateInput, NullableBooleanInput, SelectArrayInput, SelectInput } from "react-admin";

import { ActionBar } from "../actions/ActionButton";
import { endOfDay, ORDER_ACTIONS, type Row, startOfDay, unbilled } from "../actions/actions";
import { Clock, Facts, Flag, RowLink, Section, State, Table } from "../components/fields";
import { HubList } from "../components/HubList";
import { useIsHeadquarters, useWords } from "../components/hub";
import { QueryPart, useRelated } from "../components/query";
import { PartnerFilter, SubdistFilter } from "../components/references";
import { Columns, ShowPage } from "../components/ShowPage";
import { InvoiceTable } from "./invoices";

const STATUS = ["DRAFT", "SUBMITTED", "PROCESSING", "APPROVED", "SHIPPED", "COMPLETED", "REJECTED", "CANCELLED"];

export function OrderList() {
  const { t, money, moment, choices } = useWords();
  return (
    <HubList
      sort={{ field: "created_at", order: "DESC" }}
      search={t("hub.search.order")}
      filters={[
        <SelectArrayInput
          key="status"
          source="status@in"
          label="resources.orders.fields.status"
          choices={choices("status", STATUS)}
          alwaysOn
          sx={{ minWidth: 180 }}
        />,
        <SelectInput
          key="awaiting"
          source="awaiting"
          choices={choices("hub.awaiting", ["HEADQUARTERS", "SUBDIST", "PARTNER"])}
          alwaysOn
        />,
        <PartnerFilter key="partner" source="partner_id" />,
        <SubdistFilter key="subdist" source="routed_to_subdist_id" />,
        <NullableBooleanInput key="limit" source="is_over_limit" />,
        <DateInput key="from" source="created_at@gte" label="hub.filter.from" parse={startOfDay} format={isoPart} />,
        <DateInput key="until" source="created_at@lte" label="hub.filter.until" parse={endOfDay} format={isoPart} />,
      ]}
    >
      <DataTable.Col source="order_number" disableSort render={(row: Row) => <RowLink view="orders" id={row.id}>{row.order_number}</RowLink>} />
      <DataTable.Col source="partner_id" disableSort render={(row: Row) => row.partners?.business_name} />
      <DataTable.Col source="status" disableSort render={(row: Row) => <OrderState order={row} />} />
      <DataTable.Col
        source="awaiting"
        disableSort
        render={(row: Row) => <Waiting order={row} />}
      />
      <DataTable.Col
        source="routed_to_subdist_id"
        disableSort
        render={(row: Row) => row.sub_distributors?.business_name ?? "–"}
      />
      <DataTable.Col align="right" source="grand_total" disableSort render={(row: Row) => money(row.grand_total)} />
      <DataTable.Col source="created_at" render={(row: Row) => moment(row.created_at)} />
    </HubList>
  );
}

/** The day of a moment that a filter holds. */
function isoPart(value: string | undefined): string {
  return value ? value.slice(0, 10) : "";
}

function OrderState({ order }: { order: Row }) {
  const { t } = useWords();
  return (
    <>
      <State group="status" value={order.status} />
      {order.is_over_limit && !order.released_at && order.status === "SUBMITTED" ? (
        <>
          {" "}
          <Flag label={t(`hub.over_limit.${order.over_limit_reason}`)} />
        </>
      ) : null}
    </>
  );
}

function Waiting({ order }: { order: Row }) {
  const { word } = useWords();
  if (order.awaiting === "NONE") return <>–</>;
  return (
    <>
      {word("hub.awaiting", order.awaiting)} {order.awaiting_since ? <Clock since={order.awaiting_since} /> : null}
    </>
  );
}

export function OrderShow() {
  const { t, word } = useWords();
  return (
    <ShowPage
      title={(order) => order.order_number}
      audit="orders"
      state={(order) => (
        <>
          <OrderState order={order} />
          {order.awaiting_since ? (
            <Typography variant="body2">
              {t("hub.order.waits", { who: word("hub.awaiting", order.awaiting) })} · <Clock since={order.awaiting_since} />
            </Typography>
          ) : null}
        </>
      )}
      actions={(order) => <ActionBar names={ORDER_ACTIONS} row={order} subject={order.order_number} />}
    >
      {(order) => (
        <Columns
          main={
            <>
              <Lines order={order} />
              <Section title={t("hub.order.invoices")}>
                <InvoiceTable invoices={newestFirst(order.invoices)} />
              </Section>
              {order.credit_notes?.length ? <Returns order={order} /> : null}
              <Messages order={order} />
            </>
          }
          side={
            <>
              <OrderFacts order={order} />
              <History order={order} />
            </>
          }
        />
      )}
    </ShowPage>
  );
}

function newestFirst(rows: Row[] | null | undefined): Row[] {
  return [...(rows ?? [])].sort((a, b) => String(b.created_at).localeCompare(String(a.created_at)));
}

function Lines({ order }: { order: Row }) {
  const { t, money, number } = useWords();
  const column = (name: string) => t(`resources.orders.fields.${name}`);
  const hasReturns = (order.order_items as Row[]).some((line) => line.returned_quantity > 0);
  return (
    <Section title={t("hub.order.lines")}>
      <Table
        label={t("hub.order.lines")}
        rows={order.order_items as Row[]}
        keyOf={(line) => line.id}
        columns={[
          [column("sku"), (line) => <RowLink view="products" id={line.product_id}>{line.products?.sku}</RowLink>],
          [column("product_id"), (line) => line.products?.name],
          [column("quantity"), (line) => number(line.quantity), true],
          ...(hasReturns
            ? [[column("returned_quantity"), (line: Row) => number(line.returned_quantity), true] as [string, (line: Row) => string, boolean]]
            : []),
          [column("list_price"), (line) => money(line.list_price), true],
          [column("unit_price"), (line) => money(line.unit_price), true],
          [column("line_total"), (line) => money(line.line_total), true],
        ]}
      />
    </Section>
  );
}

function OrderFacts({ order }: { order: Row }) {
  const { t, word, money, number, moment } = useWords();
  const missing = ["APPROVED", "SHIPPED", "COMPLETED"].includes(order.status) ? unbilled(order) : 0;
  return (
    <Section title={t("hub.order.facts")}>
      <Facts
        items={[
          [t("hub.order.partner"), <RowLink key="p" view="partners" id={order.partner_id}>{order.partners?.business_name ?? "–"}</RowLink>],
          [t("resources.orders.fields.tier"), word("hub.tier", order.partners?.tier)],
          [t("resources.orders.fields.phone"), order.partners?.phone],
          [t("resources.orders.fields.address"), order.partners?.address],
          [t("hub.order.subdist"), order.routed_to_subdist_id ? <RowLink key="s" view="sub_distributors" id={order.routed_to_subdist_id}>{order.sub_distributors?.business_name}</RowLink> : "–"],
          [t("hub.order.agent"), order.staff?.full_name],
          [t("hub.order.subtotal"), money(order.subtotal)],
          [t("hub.order.discount"), order.discount_amount ? money(-order.discount_amount) : ""],
          [t("hub.order.point_discount"), order.point_discount ? money(-order.point_discount) : ""],
          [t("hub.order.total"), <strong key="t">{money(order.grand_total)}</strong>],
          [t("hub.order.unbilled"), missing ? <Flag key="u" label={money(missing)} /> : ""],
          [t("hub.order.points_promised"), order.points_earned ? number(order.points_earned) : ""],
          [t("hub.order.notes"), order.notes],
          [t("hub.order.release_reason"), order.release_reason],
          [t("hub.order.reason"), order.status_reason],
          [t("resources.orders.fields.created_at"), moment(order.created_at)],
        ]}
      />
    </Section>
  );
}

function History({ order }: { order: Row }) {
  const { t, word, moment } = useWords();
  const events = [...((order.order_events ?? []) as Row[])].sort((a, b) => String(a.created_at).localeCompare(String(b.created_at)));
  // The note of a response begins with the decision.
  const parts = (event: Row): [what: string, note: string] => {
    const note = String(event.note ?? "");
    if (event.event === "STATUS") return [word("status", event.to_status), note];
    if (event.event !== "RESPONSE") return [t(`hub.order.event.${event.event}`, { _: event.event }), note];
    const [decision = "", ...rest] = note.split(":");
    return [word("decision", decision), rest.join(":").trim()];
  };
  return (
    <Section title={t("hub.order.history")}>
      <ol style={{ margin: 0, paddingLeft: "1.2rem" }}>
        {events.map((event) => {
          const [what, note] = parts(event);
          return (
            <li key={event.id}>
              <Typography variant="body2" sx={{ fontWeight: 600 }}>
                {what}
              </Typography>
              {note ? (
                <Typography variant="body2" sx={{ overflowWrap: "anywhere" }}>
                  {note}
                </Typography>
              ) : null}
              <Typography variant="caption" color="text.secondary">
                {moment(event.created_at)} · {event.staff?.full_name ?? word("role", event.actor_role)}
              </Typography>
            </li>
          );
        })}
      </ol>
    </Section>
  );
}

function Returns({ order }: { order: Row }) {
  const { t, money, number, moment } = useWords();
  const column = (name: string) => t(`resources.orders.fields.${name}`);
  return (
    <Section title={t("hub.order.returns")}>
      <Table
        label={t("hub.order.returns")}
        rows={newestFirst(order.credit_notes)}
        keyOf={(note) => note.id}
        columns={[
          [column("credit_note_number"), (note) => note.credit_note_number],
          [
            t("hub.order.lines"),
            (note) =>
              ((note.credit_note_items ?? []) as Row[])
                .map((item) => `${number(item.quantity)} × ${item.order_items?.products?.sku ?? ""}`)
                .join(", "),
          ],
          [column("reason"), (note) => note.reason],
          [column("amount"), (note) => money(note.amount), true],
          [column("points_returned"), (note) => number(note.points_returned), true],
          [column("created_at"), (note) => moment(note.created_at)],
        ]}
      />
    </Section>
  );
}

/** The messages of an order, for headquarters. */
function Messages({ order }: { order: Row }) {
  const { t, word, moment } = useWords();
  const isHeadquarters = useIsHeadquarters();
  const query = useRelated("messages", "order_id", order.id, { newest: "created_at", perPage: 50, enabled: isHeadquarters });
  if (!isHeadquarters) return null;
  const column = (name: string) => t(`resources.messages.fields.${name}`);
  return (
    <QueryPart title={t("hub.order.messages")} query={query}>
      {(rows) => (
        <Table
          label={t("hub.order.messages")}
          rows={rows}
          keyOf={(message) => message.id}
          columns={[
            [column("created_at"), (message) => moment(message.created_at)],
            [column("template"), (message) => word("hub.template", message.template)],
            [column("recipient_type"), (message) => word("hub.recipient", message.recipient_type)],
            [column("channel"), (message) => word("hub.channel", message.channel)],
            [column("status"), (message) => <State group="hub.message_status" value={message.status} />],
            [column("error_code"), (message) => word("hub.message_cause", message.error_code)],
          ]}
        />
      )}
    </QueryPart>
  );
}
