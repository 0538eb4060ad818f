import { asApiError, unwrap } from "@alfa-hub/common/errors";
import { duration, moment, number, rupiah } from "@alfa-hub/common/format";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { readClock } from "../clock";
import { type Account, explain, language, notice, t } from "../state";
import { Ask, Fact, Loading, Problem, Title, useAction, useLoad } from "../ui";
import { PhoneLinks } from "./account";

/** A queue is read again this often, in milliseconds, and when the page becomes visible. */
const EVERY = 60_000;
const SHOWN = 100;

type Answer = "ACCEPT" | "PROGRESS" | "DECLINE";

/** Steps that cannot be undone, so that they ask once more, and their texts. */
const STEPS = {
  ship_order: { button: "ship", title: "shipTitle", text: "shipExplained", done: "shipped" },
  complete_order: { button: "complete", title: "completeTitle", text: "completeExplained", done: "completed" },
} as const;
type Step = keyof typeof STEPS;
const STEP_NAMES = Object.keys(STEPS) as Step[];

async function readQueue(account: Account) {
  const [orders] = await Promise.all([
    unwrap(
      account.client
        .from("orders")
        .select(
          "id, order_number, status, awaiting, awaiting_since, grand_total, allowed_actions, order_items(quantity), delivery_contacts(business_name)",
        )
        .in("status", ["SUBMITTED", "PROCESSING", "APPROVED", "SHIPPED"])
        .order("awaiting_since", { ascending: true, nullsFirst: false })
        .limit(SHOWN + 1),
    ),
    account.readConfigs(),
  ]);
  return { orders: orders.slice(0, SHOWN), isCut: orders.length > SHOWN };
}

type QueueRow = Awaited<ReturnType<typeof readQueue>>["orders"][number];

/** Whether a call was refused because the order has changed: its card may be gone once the queue is read again. */
function hasChanged(error: unknown): boolean {
  return [404, 409].includes(asApiError(error).status);
}

/** The present moment, each half minute. */
function useNow(): number {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now.value;
}

export function Queue({ account }: { account: Account }) {
  const { data, error, reload } = useLoad(() => readQueue(account));
  const now = useNow();
  useEffect(() => {
    const again = () => {
      if (document.visibilityState === "visible") reload();
    };
    const timer = setInterval(again, EVERY);
    document.addEventListener("visibilitychange", again);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", again);
    };
  }, []);
  const orders = data?.orders;
  const groups = [
    ["queue.yours", orders?.filter((order) => order.awaiting === "SUBDIST")],
    ["queue.headquarters", orders?.filter((order) => order.awaiting === "HEADQUARTERS")],
    ["queue.shipped", orders?.filter((order) => order.status === "SHIPPED")],
  ] as const;
  return (
    <>
      <Title>{t("tab.queue")}</Title>
      <Problem error={error} retry={reload} />
      {!data && !error && <Loading />}
      {orders && !orders.length && <p>{t("queueEmpty")}</p>}
      {data?.isCut && <p class="hint">{t("queueCut", { count: SHOWN })}</p>}
      {groups.map(
        ([title, orders]) =>
          orders &&
          orders.length > 0 && (
            <section key={title}>
              <h2>
                {t(title)} ({orders.length})
              </h2>
              <ul class="cards">
                {orders.map((order) => (
                  <QueueCard key={order.id} account={account} order={order} now={now} reload={reload} />
                ))}
              </ul>
            </section>
          ),
      )}
    </>
  );
}

function QueueCard(props: { account: Account; order: QueueRow; now: number; reload: () => void }) {
  const { order } = props;
  return (
    <li class="card">
      <a class="cover" href={`#/orders/${order.id}`}>
        <span class="row">
          <strong>{order.delivery_contacts?.business_name ?? <span class="whole">{order.order_number}</span>}</strong>
          <strong>{rupiah(order.grand_total)}</strong>
        </span>
        <span class="row">
          <span class="whole">{order.order_number}</span>
          <span>{t("products", { count: order.order_items.length })}</span>
        </span>
        <Clock {...props} />
      </a>
      <Actions account={props.account} order={order} reload={props.reload} />
    </li>
  );
}

function Clock({ account, order, now }: { account: Account; order: Pick<QueueRow, "status" | "awaiting" | "awaiting_since">; now: number }) {
  if (!order.awaiting_since || order.awaiting !== "SUBDIST") return null;
  const configs = account.configs.value;
  const clock = readClock(
    order.awaiting_since,
    now,
    Number(configs["sla.reminder_hours"] ?? 18),
    Number(configs["sla.escalation_hours"] ?? 24),
  );
  const lang = language.value;
  return (
    <span class={`clock ${clock.level}`}>
      {clock.level === "late"
        ? t("clockLate", { waited: duration(clock.waited, lang) })
        : t(order.status === "APPROVED" ? "clockShip" : "clockLeft", { left: duration(clock.left, lang), waited: duration(clock.waited, lang) })}
    </span>
  );
}

/** The answers and steps that the order allows now. */
function Actions({ account, order, reload }: {
  account: Account;
  order: Pick<QueueRow, "id" | "order_number" | "status" | "awaiting" | "allowed_actions">;
  reload: () => void;
}) {
  const asking = useSignal<"DECLINE" | Step | undefined>(undefined);
  const action = useAction();
  const allowed = order.allowed_actions ?? [];
  const canAnswer = allowed.includes("respond_order");
  const isTheirTurn = order.awaiting === "SUBDIST";

  const finish = (done: boolean) => {
    if (done) asking.value = undefined;
    // Also after a refusal: what was refused shows what has changed meanwhile.
    reload();
  };
  const run = (work: () => Promise<unknown>, done: string) =>
    void action
      .run(
        () =>
          work().catch((error: unknown) => {
            if (hasChanged(error)) notice.value = explain(error);
            throw error;
          }),
        done,
      )
      .then(finish);
  const respond = (decision: Answer, done: string, note = "") =>
    run(
      () => unwrap(account.client.rpc("respond_order", { order_id: order.id, decision, ...(note ? { note } : {}) })),
      done,
    );
  const step = (call: Step) =>
    run(
      () => unwrap(account.client.rpc(call, { order_id: order.id })),
      t(STEPS[call].done, { number: order.order_number }),
    );

  return (
    <>
      {!asking.value && !hasChanged(action.error) && <Problem error={action.error} />}
      <div class="row actions">
        {canAnswer && (
          <button type="button" disabled={action.isRunning} onClick={() => (asking.value = "DECLINE")}>
            {t("decline")}
          </button>
        )}
        {canAnswer && isTheirTurn && order.status !== "SUBMITTED" && (
          <button type="button" disabled={action.isRunning} onClick={() => respond("PROGRESS", t("progressNoted"))}>
            {t("progress")}
          </button>
        )}
        {canAnswer && isTheirTurn && order.status !== "APPROVED" && (
          <button
            type="button"
            class="primary"
            disabled={action.isRunning}
            onClick={() => respond("ACCEPT", t("accepted", { number: order.order_number }))}
          >
            {t("accept")}
          </button>
        )}
        {STEP_NAMES.filter((call) => allowed.includes(call)).map((call) => (
          <button
            key={call}
            type="button"
            class="primary"
            disabled={action.isRunning}
            onClick={() => (asking.value = call)}
          >
            {t(STEPS[call].button)}
          </button>
        ))}
      </div>
      {asking.value === "DECLINE" && (
        <Ask
          title={t("declineTitle", { number: order.order_number })}
          text={t("declineExplained")}
          confirm={t("decline")}
          reason={t("declineReason")}
          isReasonNeeded
          isDangerous
          action={action}
          onConfirm={(reason) => respond("DECLINE", t("declined", { number: order.order_number }), reason)}
          onClose={() => (asking.value = undefined)}
        />
      )}
      {STEP_NAMES.filter((call) => call === asking.value).map((call) => (
        <Ask
          key={call}
          title={t(STEPS[call].title, { number: order.order_number })}
          text={t(STEPS[call].text)}
          confirm={t(STEPS[call].button)}
          action={action}
          onConfirm={() => step(call)}
          onClose={() => (asking.value = undefined)}
        />
      ))}
    </>
  );
}

export function QueueOrder({ account, id }: { account: Account; id: string }) {
  const { data: order, error, reload } = useLoad(async () => {
    const [read] = await Promise.all([
      unwrap(
        account.client
          .from("orders")
          .select(
            "id, order_number, status, awaiting, awaiting_since, grand_total, notes, submitted_at, allowed_actions, order_items(id, quantity, products(sku, name)), delivery_contacts(business_name, phone, address)",
          )
          .eq("id", id)
          .maybeSingle(),
      ),
      account.readConfigs(),
    ]);
    return read ?? "gone";
  });
  const now = useNow();
  const lang = language.value;
  if (order === "gone") {
    // Declined, or routed to another sub-distributor.
    return (
      <>
        <Title>{t("queueGone")}</Title>
        <a class="button" href="#/">
          {t("tab.queue")}
        </a>
      </>
    );
  }
  return (
    <>
      <p>
        <a href="#/">‹ {t("tab.queue")}</a>
      </p>
      <Problem error={error} retry={reload} />
      {!order && !error && <Loading />}
      {order && (
        <>
          <Title>{order.order_number}</Title>
          {/* SUBMITTED reads "sent" to a sub-distributor, so whose turn it is comes first. */}
          <p class={`state ${order.status.toLowerCase()}`}>
            {order.awaiting === "SUBDIST"
              ? t("queue.yours")
              : order.awaiting === "HEADQUARTERS"
                ? t("queue.headquarters")
                : t(`status.${order.status}`)}
          </p>
          <Clock account={account} order={order} now={now} />
          {order.delivery_contacts && (
            <div class="card">
              <strong>{order.delivery_contacts.business_name}</strong>
              {order.delivery_contacts.address && <p>{order.delivery_contacts.address}</p>}
              {order.delivery_contacts.phone && (
                <PhoneLinks phone={order.delivery_contacts.phone} name={order.delivery_contacts.business_name} />
              )}
            </div>
          )}
          <ul class="cards">
            {order.order_items.map((item) => (
              <li key={item.id} class="card row">
                <span>
                  {item.products?.name}
                  <small class="whole">{item.products?.sku}</small>
                </span>
                <strong>{number(item.quantity)} ×</strong>
              </li>
            ))}
          </ul>
          <dl class="card facts">
            <Fact name={t("total")}>{rupiah(order.grand_total)}</Fact>
            <Fact name={t("orderedAt")}>{moment(order.submitted_at, lang)}</Fact>
            {order.notes && <Fact name={t("notes")} isText>{order.notes}</Fact>}
          </dl>
          <Actions account={account} order={order} reload={reload} />
        </>
      )}
    </>
  );
}
