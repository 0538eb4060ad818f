import { unwrap } from "@alfa-hub/common/errors";
import { day, isoDay, rupiah } from "@alfa-hub/common/format";
import { useSignal } from "@preact/signals";

import { type Account, language, t } from "../state";
import { Field, Loading, Problem, Title, useLoad } from "../ui";

/** Milliseconds of the period that is shown first: 90 days. */
const PERIOD = 90 * 86_400_000;

export function Statement({ account }: { account: Account }) {
  const from = useSignal(isoDay(new Date(Date.now() - PERIOD)));
  const to = useSignal(isoDay(new Date()));
  const { data, error, reload } = useLoad(
    () => unwrap(account.client.rpc("account_statement", { from_date: from.value, to_date: to.value })),
    `${from.value}/${to.value}`,
  );
  const lang = language.value;
  return (
    <>
      <p>
        <a href="#/invoices">‹ {t("tab.invoices")}</a>
      </p>
      <Title>{t("statement")}</Title>
      <div class="row">
        <Field label={t("from")} type="date" required value={from.value} onText={(text) => text && (from.value = text)} />
        <Field label={t("to")} type="date" required value={to.value} onText={(text) => text && (to.value = text)} />
      </div>
      <Problem error={error} retry={reload} />
      {!data && !error && <Loading />}
      {data && (
        <table>
          <caption class="hint">{t("statementExplained")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("booking")}</th>
              <th scope="col" class="amount">
                {t("amount")}
              </th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">{t("openingBalance")}</th>
              <td class="amount">{rupiah(data.opening_balance)}</td>
            </tr>
            {data.lines?.map((line, index) => (
              <tr key={index}>
                <th scope="row">
                  {t(`booking.${line.kind}` as "booking.INVOICE")}
                  <small>
                    {day(line.value_date, lang)}
                    {line.invoice_number && (
                      <>
                        {" · "}
                        <span class="whole">{line.invoice_number}</span>
                      </>
                    )}
                    {line.reference && line.reference !== line.invoice_number && ` · ${line.reference}`}
                  </small>
                </th>
                <td class="amount">
                  {rupiah(line.amount)}
                  <small>{t("balance", { balance: rupiah(line.balance) })}</small>
                </td>
              </tr>
            ))}
            <tr>
              <th scope="row">{t("closingBalance")}</th>
              <td class="amount">
                <strong>{rupiah(data.closing_balance)}</strong>
              </td>
            </tr>
          </tbody>
        </table>
      )}
    </>
  );
}
