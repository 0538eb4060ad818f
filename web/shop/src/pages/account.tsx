import { unwrap } from "@alfa-hub/common/errors";
import { number, rupiah } from "@alfa-hub/common/format";

import { type Account as AccountState, signOut, t } from "../state";
import { Fact, Loading, Problem, Title, useAction, useLoad } from "../ui";
import { Languages } from "./sign_in";

export function Account({ account }: { account: AccountState }) {
  const { error, reload } = useLoad(() => account.readMe());
  const me = account.me.value;
  const action = useAction();
  const isPartner = account.identity.role === "partner";
  return (
    <>
      <Title>{t("tab.account")}</Title>
      <Problem error={error} retry={reload} />
      {!me && !error && <Loading />}
      {me && (
        <dl class="card facts">
          <Fact name={t("name")} isText>{me.name}</Fact>
          {me.email && <Fact name={t("email")} isText>{me.email}</Fact>}
          {me.phone && <Fact name={t("phone")}>{me.phone}</Fact>}
          {me.address && <Fact name={t("address")} isText>{me.address}</Fact>}
          {me.tier && <Fact name={t("tier")}>{me.tier}</Fact>}
          {isPartner && (
            <>
              <Fact name={t("creditLimit")}>{rupiah(me.credit_limit)}</Fact>
              <Fact name={t("creditLeft")}>{rupiah(me.credit_left)}</Fact>
              <Fact name={t("pointBalance")}>{number(me.point_balance)}</Fact>
            </>
          )}
        </dl>
      )}
      {isPartner && <Contacts account={account} />}
      <h2>{t("language")}</h2>
      <Languages />
      <button
        type="button"
        class="wide"
        disabled={action.isRunning}
        onClick={() => void action.run(() => signOut())}
      >
        {account.identity.isShadow ? t("endShadow") : t("signOut")}
      </button>
    </>
  );
}

function Contacts({ account }: { account: AccountState }) {
  const { data, error, reload } = useLoad(() =>
    unwrap(account.client.from("my_contacts").select().order("role", { ascending: false }).order("name")),
  );
  return (
    <>
      <h2>{t("contacts")}</h2>
      <Problem error={error} retry={reload} />
      <ul class="cards">
        {data?.map((contact) => (
          <li key={contact.id} class="card">
            <strong>{contact.name}</strong>
            <p class="hint">{contact.role === "subdist" ? t("role.subdist") : t("role.agent")}</p>
            {contact.phone && <PhoneLinks phone={contact.phone} name={contact.name ?? ""} />}
          </li>
        ))}
      </ul>
      {data && !data.length && <p>{t("noContacts")}</p>}
    </>
  );
}

/** Links to write and to call. */
export function PhoneLinks({ phone, name }: { phone: string; name: string }) {
  const digits = phone.replace(/\D/g, "");
  return (
    <div class="row">
      <a
        class="button"
        href={`https://wa.me/${digits}`}
        target="_blank"
        rel="noopener noreferrer"
        aria-label={`WhatsApp: ${name}`}
      >
        WhatsApp
      </a>
      <a class="button" href={`tel:+${digits}`} aria-label={`${t("call")}: ${name}`}>
        {t("call")}
      </a>
    </div>
  );
}
