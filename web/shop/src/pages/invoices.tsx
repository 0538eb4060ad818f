import { unwrap } from "@alfa-hub/common/errors";
import { day, number, rupiah } from "@alfa-hub/common/format";
import { readAll } from "@alfa-hub/common/rows";
import { useSignal } from "@preact/signals";

import { type Account, language, t } from "../state";
import { Fact, Loading, Newest, Problem, Title, useLoad } from "../ui";

const COLUMNS =
  "id, order_id, invoice_number, amount, amount_credited, amount_written_off, amount_due, refund_due, status, due_date, days_overdue, cancel_reason, invoice_payments(id, kind, amount, payment_method, reference_number, paid_at)";
const CLOSED_SHOWN = 20;

async function readOpen(account: Account) {
  return readAll((from, to) =>
    account.client
      .from("invoices")
      .select(COLUMNS, { count: "exact" })
      .in("status", ["UNPAID", "PARTIAL"])
      .order("due_date")
      .order("id")
      .range(from, to),
  );
}

async function readClosed(account: Account) {
  return unwrap(
    account.client
      .from("invoices")
      .select(COLUMNS)
      .in("status", ["PAID", "CANCELLED"])
      .order("created_at", { ascending: false })
      .limit(CLOSED_SHOWN),
  );
}

export function Invoices({ account }: { account: Account }) {
  const isAll = useSignal(false);
  const open = useLoad(() => readOpen(account));
  const closed = useLoad(
    () => (isAll.value ? readClosed(account) : Promise.resolve([])),
    String(isAll.value),
  );
  const due = open.data?.reduce((sum, invoice) => sum + (invoice.amount_due ?? 0), 0);
  return (
    <>
      <Title>{t("tab.invoices")}</Title>
      <Problem error={open.error} retry={open.reload} />
      {!open.data && !open.error && <Loading />}
      {open.data && (
        <p class="sum">
          {t("amountDue")} <strong class="total">{rupiah(due)}</strong>
        </p>
      )}
      <p>
        <a href="#/statement">{t("statement")} ›</a>
      </p>
      <ul class="cards">
        {open.data?.map((invoice) => (
          <InvoiceCard key={invoice.id} invoice={invoice} />
        ))}
      </ul>
      {open.data && !open.data.length && <p>{t("nothingDue")}</p>}
      {!isAll.value && (
        <button type="button" class="wide" onClick={() => (isAll.value = true)}>
          {t("showPaid")}
        </button>
      )}
      <Problem error={closed.error} retry={closed.reload} />
      <ul class="cards">
        {closed.data?.map((invoice) => (
          <InvoiceCard key={invoice.id} invoice={invoice} />
        ))}
      </ul>
      <Newest rows={closed.data} shown={CLOSED_SHOWN} />
    </>
  );
}

type Invoice = Awaited<ReturnType<typeof readOpen>>[number];

function InvoiceCard({ invoice }: { invoice: Invoice }) {
  const lang = language.value;
  return (
    <li class="card">
      <details>
        <summary>
          <span class="row">
            <strong class="whole">{invoice.invoice_number}</strong>
            <strong>{rupiah(invoice.amount_due || invoice.amount)}</strong>
          </span>
          <span class="row">
            <span class={`state ${invoice.status.toLowerCase()}`}>{t(`invoice.${invoice.status}`)}</span>
            {invoice.days_overdue ? (
              <span class="warning">{t("overdueDays", { count: number(invoice.days_overdue) })}</span>
            ) : (
              !!invoice.amount_due && <span>{t("dueOn", { day: day(invoice.due_date, lang) })}</span>
            )}
          </span>
        </summary>
        <dl class="facts">
          <Fact name={t("invoiceAmount")}>{rupiah(invoice.amount)}</Fact>
          <Fact name={t("dueDate")}>{day(invoice.due_date, lang)}</Fact>
          {!!invoice.amount_credited && <Fact name={t("booking.CREDIT")}>−{rupiah(invoice.amount_credited)}</Fact>}
          {!!invoice.amount_written_off && (
            <Fact name={t("booking.WRITE_OFF")}>−{rupiah(invoice.amount_written_off)}</Fact>
          )}
          {invoice.invoice_payments.map((payment) => (
            <Fact key={payment.id} name={`${t(`booking.${payment.kind}` as "booking.PAYMENT")} ${day(payment.paid_at, lang)}`}>
              {rupiah(-payment.amount)}
              <small> {[payment.payment_method, payment.reference_number].filter(Boolean).join(" · ")}</small>
            </Fact>
          ))}
          <Fact name={t("amountDue")}>
            <strong>{rupiah(invoice.amount_due)}</strong>
          </Fact>
          {!!invoice.refund_due && <Fact name={t("refundDue")}>{rupiah(invoice.refund_due)}</Fact>}
          {invoice.cancel_reason && <Fact name={t("cancelReason")} isText>{invoice.cancel_reason}</Fact>}
        </dl>
        <a href={`#/orders/${invoice.order_id}`}>{t("toOrder")} ›</a>
      </details>
    </li>
  );
}
