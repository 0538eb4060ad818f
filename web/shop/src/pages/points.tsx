import type { Row } from "@alfa-hub/common/client";
import { asApiError, unwrap } from "@alfa-hub/common/errors";
import { moment, number } from "@alfa-hub/common/format";
import { newKey } from "@alfa-hub/common/keys";
import { readAll } from "@alfa-hub/common/rows";
import { useSignal } from "@preact/signals";

import { type Account, language, t } from "../state";
import { Ask, Loading, Newest, Problem, Title, useAction, useLoad } from "../ui";

const REDEEMED_SHOWN = 20;
const ENTRIES_SHOWN = 30;

export function Points({ account }: { account: Account }) {
  const loaded = useLoad(async () => {
    const { client } = account;
    const [rewards, redemptions, ledger] = await Promise.all([
      readAll((from, to) =>
        client
          .from("redemption_catalog")
          .select("*", { count: "exact" })
          .is("is_active", true)
          .order("points_required")
          .order("id")
          .range(from, to),
      ),
      unwrap(
        client
          .from("redemptions")
          .select("id, status, points_spent, created_at, redemption_catalog(name)")
          .order("created_at", { ascending: false })
          .limit(REDEEMED_SHOWN),
      ),
      unwrap(
        client
          .from("point_transactions")
          .select("id, type, points, created_at")
          .order("created_at", { ascending: false })
          .limit(ENTRIES_SHOWN),
      ),
      account.readMe(),
    ]);
    return { rewards, redemptions, ledger };
  });
  const { data, error, reload } = loaded;
  const balance = account.me.value?.point_balance ?? 0;
  const lang = language.value;
  return (
    <>
      <Title>{t("tab.points")}</Title>
      <Problem error={error} retry={reload} />
      {!data && !error && <Loading />}
      {data && (
        <>
          <p class="sum">
            {t("pointBalance")} <strong class="total">{number(balance)}</strong>
          </p>
          <h2>{t("rewards")}</h2>
          <ul class="cards">
            {data.rewards.map((reward) => (
              <Reward key={reward.id} account={account} reward={reward} balance={balance} reload={reload} />
            ))}
          </ul>
          {data.redemptions.length > 0 && <h2>{t("redeemed")}</h2>}
          <ul class="cards">
            {data.redemptions.map((redemption) => (
              <li key={redemption.id} class="card row">
                <span>
                  {redemption.redemption_catalog?.name}
                  <small>{moment(redemption.created_at, lang)}</small>
                </span>
                <span>{t(`redemption.${redemption.status}`)}</span>
              </li>
            ))}
          </ul>
          <Newest rows={data.redemptions} shown={REDEEMED_SHOWN} />
          <h2>{t("pointHistory")}</h2>
          <ul class="cards">
            {data.ledger.map((entry) => (
              <li key={entry.id} class="card row">
                <span>
                  {t(`points.${entry.type}`)}
                  <small>{moment(entry.created_at, lang)}</small>
                </span>
                <strong>{entry.points > 0 ? `+${number(entry.points)}` : number(entry.points)}</strong>
              </li>
            ))}
          </ul>
          <Newest rows={data.ledger} shown={ENTRIES_SHOWN} />
          {!data.ledger.length && <p>{t("noPoints")}</p>}
        </>
      )}
    </>
  );
}

function Reward(props: { account: Account; reward: Row<"redemption_catalog">; balance: number; reload: () => void }) {
  const { account, reward, balance, reload } = props;
  const isAsking = useSignal(false);
  const key = useSignal(newKey());
  const action = useAction();
  const lacking = reward.points_required - balance;
  const isGone = reward.stock_available !== null && reward.stock_available <= 0;
  const redeem = () =>
    action
      .run(async () => {
        try {
          const call = { reward_id: reward.id, idempotency_key: key.value };
          await unwrap(account.client.rpc("redeem_reward", call));
        } catch (error) {
          // Without an answer the reward may be redeemed: another try asks with the same key.
          if (!asApiError(error).isUnanswered) key.value = newKey();
          throw error;
        }
        key.value = newKey();
      }, t("rewardRedeemed", { name: reward.name }))
      .then((done) => {
        if (!done) return;
        isAsking.value = false;
        reload();
      });
  return (
    <li class="card">
      <h3>{reward.name}</h3>
      {reward.description && <p class="description">{reward.description}</p>}
      <div class="row">
        <strong>{t("pointsNeeded", { count: number(reward.points_required) })}</strong>
        {isGone ? (
          <span class="hint">{t("soldOut")}</span>
        ) : lacking > 0 ? (
          <span class="hint">{t("pointsLacking", { count: number(lacking) })}</span>
        ) : (
          <button
            type="button"
            class="primary"
            aria-label={`${t("redeem")}: ${reward.name}`}
            onClick={() => (isAsking.value = true)}
          >
            {t("redeem")}
          </button>
        )}
      </div>
      {isAsking.value && (
        <Ask
          title={t("redeemTitle", { name: reward.name })}
          text={t("redeemExplained", { count: number(reward.points_required), left: number(-lacking) })}
          confirm={t("redeem")}
          action={action}
          onConfirm={() => void redeem()}
          onClose={() => {
            isAsking.value = false;
            action.clear();
          }}
        />
      )}
    </li>
  );
}
