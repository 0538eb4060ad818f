import { asApiError, unwrap } from "@alfa-hub/common/errors";
import { day, moment, number, rupiah } from "@alfa-hub/common/format";
import { useSignal } from "@preact/signals";

import { type Line, withLines } from "../basket";
import { orderState } from "../order_state";
import { go } from "../route";
import { type Account, language, notice, type Quote, t } from "../state";
import { Ask, Fact, Loading, Problem, Title, useAction, useLoad } from "../ui";

const PAGE = 20;

async function readOrders(account: Account, before: string | undefined) {
  const page = account.client
    .rpc("newest_orders", { n: PAGE, ...(before ? { before } : {}) }, { get: true })
    .select(
      "id, order_number, status, awaiting, is_over_limit, over_limit_reason, released_at, grand_total, created_at, order_items(quantity)",
    );
  return unwrap(page);
}

export function Orders({ account }: { account: Account }) {
  const before = useSignal<string | undefined>(undefined);
  const earlier = useSignal<Awaited<ReturnType<typeof readOrders>>>([]);
  const { data, error, reload } = useLoad(() => readOrders(account, before.value), before.value);
  const orders = [...earlier.value, ...(data ?? [])];
  return (
    <>
      <Title>{t("tab.orders")}</Title>
      <Problem error={error} retry={reload} />
      {!data && !error && <Loading />}
      {data && !orders.length && <p>{t("noOrders")}</p>}
      <ul class="cards">
        {orders.map((order) => (
          <li key={order.id} class="card">
            <a class="cover" href={`#/orders/${order.id}`}>
              <span class="row">
                <strong class="whole">{order.order_number}</strong>
                <strong>{rupiah(order.grand_total)}</strong>
              </span>
              <span class="row">
                <span>{day(order.created_at, language.value)}</span>
                <span>{t("products", { count: order.order_items.length })}</span>
              </span>
              <span class={`state ${order.status.toLowerCase()}`}>{t(orderState(order))}</span>
            </a>
          </li>
        ))}
      </ul>
      {data?.length === PAGE && (
        <button
          type="button"
          class="wide"
          onClick={() => {
            earlier.value = orders;
            before.value = orders.at(-1)?.created_at;
          }}
        >
          {t("showOlder")}
        </button>
      )}
    </>
  );
}

async function readOrder(account: Account, id: string) {
  return unwrap(
    account.client
      .from("orders")
      .select(
        "*, order_items(id, quantity, unit_price, line_total, returned_quantity, products(sku, name, is_active)), order_events(id, event, to_status, note, created_at), invoices(id, invoice_number, amount_due, status)",
      )
      .eq("id", id)
      .order("created_at", { referencedTable: "order_events" })
      .single(),
  );
}

type FullOrder = Awaited<ReturnType<typeof readOrder>>;

export function OrderPage({ account, id }: { account: Account; id: string }) {
  const { data: order, error, reload } = useLoad(() => readOrder(account, id));
  return (
    <>
      <p>
        <a href="#/orders">‹ {t("tab.orders")}</a>
      </p>
      <Problem error={error} retry={reload} />
      {!order && !error && <Loading />}
      {order && <OrderDetail account={account} order={order} reload={reload} />}
    </>
  );
}

function OrderDetail({ account, order, reload }: { account: Account; order: FullOrder; reload: () => void }) {
  const isCancelling = useSignal(false);
  const cancelling = useAction();
  const lang = language.value;
  const actions = order.allowed_actions ?? [];

  const cancel = (reason: string) =>
    cancelling
      .run(async () => {
        await unwrap(account.client.rpc("cancel_order", { order_id: order.id, ...(reason ? { reason } : {}) }));
      }, t("orderCancelled"))
      .then((done) => {
        if (done) isCancelling.value = false;
        reload();
      });

  const orderAgain = () => {
    const lines: Line[] = order.order_items.flatMap(({ products, quantity }) =>
      products?.is_active ? [{ sku: products.sku, quantity }] : [],
    );
    if (account.basket.value.isPending) {
      notice.value = t("basketPending");
    } else {
      void account.setBasket(withLines(account.basket.value, lines));
      const left = order.order_items.length - lines.length;
      notice.value = left ? t("addedWithout", { count: left }) : t("added");
    }
    go("basket");
  };

  return (
    <>
      <Title>{order.order_number}</Title>
      <p class={`state ${order.status.toLowerCase()}`}>{t(orderState(order))}</p>
      {order.status_reason && <p>{t("reason", { reason: order.status_reason })}</p>}
      <ul class="cards">
        {order.order_items.map((item) => (
          <li key={item.id} class="card">
            <h2>{item.products?.name ?? t("notSold")}</h2>
            <div class="row">
              <span class="whole">
                {rupiah(item.unit_price)} × {number(item.quantity)}
              </span>
              <strong>{rupiah(item.line_total)}</strong>
            </div>
            {!!item.returned_quantity && <p class="hint">{t("returned", { count: number(item.returned_quantity) })}</p>}
          </li>
        ))}
      </ul>
      <dl class="card facts">
        <Fact name={t("subtotal")}>{rupiah(order.subtotal)}</Fact>
        {!!order.discount_amount && <Fact name={t("discount")}>−{rupiah(order.discount_amount)}</Fact>}
        {!!order.point_discount && (
          <Fact name={t("pointDiscount", { count: number(order.points_used) })}>−{rupiah(order.point_discount)}</Fact>
        )}
        <Fact name={t("total")}>
          <strong class="total">{rupiah(order.grand_total)}</strong>
        </Fact>
        {order.status !== "DRAFT" && <Fact name={t("pointsPromised")}>{number(order.points_earned)}</Fact>}
        {order.notes && <Fact name={t("notes")} isText>{order.notes}</Fact>}
        {order.agent_id && <Fact name={t("orderedBy")}>{t("role.agent")}</Fact>}
      </dl>
      {order.invoices.map((invoice) => (
        <p key={invoice.id} class="card row">
          <a class="whole" href="#/invoices">
            {invoice.invoice_number}
          </a>
          <span>{t(`invoice.${invoice.status}`)}</span>
          <strong>{rupiah(invoice.amount_due)}</strong>
        </p>
      ))}
      <h2>{t("history")}</h2>
      <ol class="history">
        {order.order_events.map((event) => (
          <li key={event.id}>
            <span>{eventText(event)}</span>
            <time dateTime={event.created_at}>{moment(event.created_at, lang)}</time>
          </li>
        ))}
      </ol>
      {actions.includes("submit_draft") && <SubmitDraft account={account} order={order} reload={reload} />}
      <div class="row actions">
        {actions.includes("cancel_order") && (
          <button type="button" onClick={() => (isCancelling.value = true)}>
            {order.status === "DRAFT" ? t("discardDraft") : t("cancelOrder")}
          </button>
        )}
        <button type="button" class="primary" onClick={orderAgain}>
          {t("orderAgain")}
        </button>
      </div>
      {isCancelling.value && (
        <Ask
          title={t("cancelTitle", { number: order.order_number })}
          text={t("cancelExplained")}
          confirm={t("cancelOrder")}
          reason={t("cancelReason")}
          isDangerous
          action={cancelling}
          onConfirm={(reason) => void cancel(reason)}
          onClose={() => {
            isCancelling.value = false;
            cancelling.clear();
          }}
        />
      )}
    </>
  );
}

function eventText(event: FullOrder["order_events"][number]): string {
  switch (event.event) {
    case "STATUS":
      return event.to_status ? t(`status.${event.to_status}`) : event.event;
    case "RESPONSE":
      return t(`decision.${event.note}` as "decision.ACCEPT");
    case "ROUTED":
      return t("event.routed");
    case "RELEASED":
      return t("event.released");
    default:
      return t("event.other");
  }
}

/** A draft, mostly an agent's: submitting is safe to repeat, because its key is the draft's. */
function SubmitDraft({ account, order, reload }: { account: Account; order: FullOrder; reload: () => void }) {
  const action = useAction();
  const risen = useSignal<number | undefined>(undefined);
  const submit = () =>
    action
      .run(async () => {
        try {
          await unwrap(
            account.client.rpc("submit_draft", {
              order_id: order.id,
              points: 0,
              idempotency_key: `draft-${order.id}`,
              expected_total: risen.value ?? order.grand_total,
            }),
          );
        } catch (error) {
          const failure = asApiError(error);
          if (failure.code === "PRICE_CHANGED") risen.value = (JSON.parse(failure.details) as Quote).grand_total ?? 0;
          throw failure;
        }
      }, t("orderSent", { number: order.order_number }))
      .then((done) => {
        if (done) reload();
      });
  return (
    <>
      <Problem error={action.error} />
      <button type="button" class="primary wide" disabled={action.isRunning} onClick={() => void submit()}>
        {risen.value === undefined
          ? t("submit", { total: rupiah(order.grand_total) })
          : t("submitRisen", { total: rupiah(risen.value) })}
      </button>
    </>
  );
}
