import { ApiError, asApiError, unwrap } from "@alfa-hub/common/errors";
import { number, rupiah } from "@alfa-hub/common/format";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { emptyBasket, quotedPart, submission, unitsLeft, withNotes, withPoints, withQuantity } from "../basket";
import { go } from "../route";
import { type Account, notice, type Quote, t } from "../state";
import { Fact, Loading, NumberInput, Problem, Stepper, Title, useAction } from "../ui";

/** How long the basket rests before it is quoted, in milliseconds: a quick series of taps is one quote. */
const REST = 250;

export function BasketPage({ account }: { account: Account }) {
  const basket = account.basket.value;
  const quote = useSignal<Quote | undefined>(undefined);
  const quotedFor = useSignal("");
  const quoteError = useSignal<unknown>(undefined);
  const risenFrom = useSignal<number | undefined>(undefined);
  const left = useSignal<Map<string, number>>(new Map());
  const round = useSignal(0);
  const action = useAction();

  useEffect(() => {
    void account.readMe().catch(() => undefined);
    void account.readConfigs().catch(() => undefined);
    void account.readCatalogue().catch(() => undefined);
  }, []);

  const turn = round.value;
  const wanted = quotedPart(basket);
  useEffect(() => {
    const { lines, points, isPending } = basket;
    if (!lines.length || isPending) return;
    let isWanted = true;
    left.value = new Map();
    if (quotedFor.peek() !== wanted) risenFrom.value = undefined;
    const timer = setTimeout(
      () => {
        unwrap(account.client.rpc("quote_order", { items: lines.map((line) => ({ ...line })), points })).then(
          (answer) => {
            if (!isWanted) return;
            quote.value = answer;
            quotedFor.value = wanted;
            quoteError.value = undefined;
          },
          (error: unknown) => {
            if (isWanted) quoteError.value = error;
          },
        );
      },
      quote.peek() ? REST : 0,
    );
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [wanted, basket.isPending, turn]);

  if (!basket.lines.length) {
    return (
      <>
        <Title>{t("basket")}</Title>
        <p>{t("basketEmpty")}</p>
        <a class="button primary" href="#/">
          {t("toCatalogue")}
        </a>
      </>
    );
  }

  const submit = () =>
    action.run(async () => {
      const kept = account.basket.value;
      const total = quote.value?.grand_total;
      const sent = kept.isPending || typeof total !== "number" ? kept : { ...kept, expectedTotal: total };
      await account.setBasket({ ...sent, isPending: true });
      try {
        const order = await unwrap(account.client.rpc("submit_order", submission(sent)));
        await account.setBasket(emptyBasket());
        void account.readCatalogue(true).catch(() => undefined);
        notice.value = t("orderSent", { number: order.order_number });
        go(`orders/${order.id}`);
      } catch (error) {
        const failure = asApiError(error);
        if (failure.isUnanswered) return; // stays pending: the page says so and offers to send it again
        await account.setBasket({ ...sent, isPending: false });
        if (failure.code === "PRICE_CHANGED") {
          risenFrom.value = sent.expectedTotal;
          quote.value = JSON.parse(failure.details) as Quote;
          quotedFor.value = quotedPart(sent);
          return;
        }
        if (failure.code === "OUT_OF_STOCK") left.value = unitsLeft(failure.details);
        if (failure.code === "IDEMPOTENCY_CONFLICT") await account.setBasket({ ...sent, key: emptyBasket().key });
        throw failure;
      }
    });

  const products = new Map(account.catalogue.value?.products.map((product) => [product.sku, product]));
  const isCurrent = quotedFor.value === wanted && !quoteError.value;
  const lines = new Map(quote.value?.lines?.map((line) => [line.sku, line]));
  const unknown = quoteError.value instanceof ApiError && quoteError.value.code === "UNKNOWN_SKU"
    ? quoteError.value.details
    : "";
  const lacksStock = basket.lines.some((line) => isCurrent && lines.get(line.sku)?.in_stock === false);

  return (
    <>
      <Title>{t("basket")}</Title>
      {basket.isPending && !action.isRunning && (
        <div class="problem" role="alert">
          <p>{t("pendingExplained")}</p>
          <button type="button" class="primary" onClick={() => void submit()}>
            {t("sendAgain")}
          </button>
        </div>
      )}
      <ul class="cards">
        {basket.lines.map(({ sku, quantity }) => {
          const line = lines.get(sku);
          const units = left.value.get(sku) ?? (line?.in_stock === false ? line.display_stock : undefined);
          const isUnknown = unknown.split(/[\s,]+/).includes(sku);
          const name = products.get(sku)?.name ?? line?.name ?? sku;
          const set = (wanted: number) => void account.setBasket(withQuantity(account.basket.value, sku, wanted));
          return (
            <li key={sku} class={isUnknown || units !== undefined ? "card marked" : "card"}>
              <h2>{name}</h2>
              <div class="row">
                <span class="whole">
                  {isCurrent && line ? `${rupiah(line.unit_price)} × ${number(quantity)}` : sku}
                  {isCurrent && line && (line.unit_price ?? 0) < (line.list_price ?? 0) && (
                    <small class="discount reached"> {t("discounted")}</small>
                  )}
                </span>
                <strong>{isCurrent && line ? rupiah(line.line_total) : ""}</strong>
              </div>
              {units !== undefined && units !== null && (
                <p class="warning">
                  {t("unitsLeft", { count: number(units) })}{" "}
                  {units > 0 && (
                    <button type="button" class="link" disabled={basket.isPending} onClick={() => set(units)}>
                      {t("takeLeft", { count: number(units) })}
                    </button>
                  )}
                </p>
              )}
              {isUnknown && <p class="warning">{t("notSold")}</p>}
              <div class="row">
                <button
                  type="button"
                  class="link"
                  disabled={basket.isPending}
                  aria-label={`${t("remove")}: ${name}`}
                  onClick={() => set(0)}
                >
                  {t("remove")}
                </button>
                <Stepper label={name} value={quantity} isDisabled={basket.isPending} onChange={set} />
              </div>
            </li>
          );
        })}
      </ul>
      <PointsField account={account} quote={isCurrent ? quote.value : undefined} />
      <NotesField account={account} />
      <Problem error={quoteError.value} retry={() => round.value++} />
      {risenFrom.value !== undefined && quote.value && (
        <div class="problem" role="alert">
          <p>
            {t("priceRisen", { before: rupiah(risenFrom.value), after: rupiah(quote.value.grand_total) })}
          </p>
        </div>
      )}
      {quote.value && isCurrent ? <Totals account={account} quote={quote.value} /> : !quoteError.value && <Loading />}
      <Problem error={action.error} />
      {!basket.isPending || action.isRunning ? (
        <button
          type="button"
          class="primary wide submit"
          disabled={!isCurrent || action.isRunning || lacksStock}
          onClick={() => void submit()}
        >
          {action.isRunning
            ? t("sending")
            : risenFrom.value === undefined
              ? t("submit", { total: isCurrent ? rupiah(quote.value?.grand_total) : "" })
              : t("submitRisen", { total: rupiah(quote.value?.grand_total) })}
        </button>
      ) : null}
    </>
  );
}

function Totals({ account, quote }: { account: Account; quote: Quote }) {
  const threshold = Number(account.configs.value["order.minimum_threshold"] ?? 0);
  return (
    <dl class="card facts" aria-live="polite">
      <Fact name={t("subtotal")}>{rupiah(quote.subtotal)}</Fact>
      {!!quote.discount_amount && <Fact name={t("discount")}>−{rupiah(quote.discount_amount)}</Fact>}
      {!!quote.point_discount && (
        <Fact name={t("pointDiscount", { count: number(quote.points_used) })}>−{rupiah(quote.point_discount)}</Fact>
      )}
      <Fact name={t("total")}>
        <strong class="total">{rupiah(quote.grand_total)}</strong>
      </Fact>
      <Fact name={t("pointsPromised")}>
        {!quote.points_promised && threshold > (quote.grand_total ?? 0)
          ? t("pointsFrom", { total: rupiah(threshold) })
          : number(quote.points_promised)}
      </Fact>
      <Fact name={t("dueDays")}>{t("days", { count: number(quote.due_days) })}</Fact>
      <Fact name={t("creditLeft")}>{rupiah(quote.credit_left)}</Fact>
      {quote.is_over_limit && (
        <p class="warning">{quote.over_limit_reason === "OVERDUE" ? t("overdueWarning") : t("overLimitWarning")}</p>
      )}
    </dl>
  );
}

/** Pay a part with points: as many as the balance and the total allow, or a number of one's own. */
function PointsField({ account, quote }: { account: Account; quote: Quote | undefined }) {
  const basket = account.basket.value;
  const balance = account.me.value?.point_balance ?? 0;
  const worth = Number(account.configs.value["loyalty.point_value_rupiah"] ?? 0);
  if (!balance || !worth) return null;
  const beforePoints = (quote?.grand_total ?? 0) + (quote?.point_discount ?? 0);
  const most = Math.min(balance, Math.floor(beforePoints / worth));
  const set = (points: number) => void account.setBasket(withPoints(account.basket.value, points));
  return (
    <div class="card row">
      <label>
        {t("usePoints", { balance: number(balance) })}
        <NumberInput max={balance} isDisabled={basket.isPending} value={basket.points} onChange={set} />
      </label>
      {quote && most > 0 && basket.points !== most && (
        <button type="button" disabled={basket.isPending} onClick={() => set(most)}>
          {t("useAllPoints", { count: number(most), worth: rupiah(most * worth) })}
        </button>
      )}
    </div>
  );
}

/** Each letter is kept at once: a reload, or a change in another tab, must not take away what is typed. */
function NotesField({ account }: { account: Account }) {
  const basket = account.basket.value;
  return (
    <div class="field">
      <label for="notes">{t("notes")}</label>
      <textarea
        id="notes"
        rows={2}
        maxLength={1000}
        placeholder={t("notesExample")}
        disabled={basket.isPending}
        value={basket.notes}
        onInput={(event) => void account.setBasket(withNotes(account.basket.value, event.currentTarget.value))}
      />
    </div>
  );
}
