import { receiveShadowToken } from "@alfa-hub/common/shadow";
import { useEffect } from "preact/hooks";

import { go } from "../route";
import { type Account, session, signOut, t } from "../state";
import { Loading, Title, useAction, useLoad } from "../ui";

/**
 * Where the console opens the shop for a partner: the token comes by postMessage from the window that opened this
 * one, or once as `#/shadow/<token>`.
 */
export function Shadow({ token: given }: { token: string }) {
  const { data, error } = useLoad(async () => {
    const token = given || (await receiveShadowToken());
    if (!token) return "missing";
    session.adoptShadow(token);
    go("", true);
    return "adopted";
  });
  if (data === "missing" || error) {
    return (
      <main class="narrow">
        <Title>{t("shadowTitle")}</Title>
        <p role="alert">{t("shadowMissing")}</p>
      </main>
    );
  }
  return (
    <main>
      <Loading />
    </main>
  );
}

/** Always in view while an agent acts for a partner. */
export function ShadowBanner({ account }: { account: Account }) {
  const action = useAction();
  useEffect(() => {
    void account.readMe().catch(() => undefined);
  }, []);
  return (
    <aside class="shadow" aria-label={t("shadowTitle")}>
      <span>{t("shadowBanner", { name: account.me.value?.name ?? "…" })}</span>
      <button type="button" disabled={action.isRunning} onClick={() => void action.run(() => signOut())}>
        {t("endShadow")}
      </button>
    </aside>
  );
}
