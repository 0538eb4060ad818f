import { Account } from "./pages/account";
import { BasketPage } from "./pages/basket";
import { CataloguePage } from "./pages/catalogue";
import { Invoices } from "./pages/invoices";
import { OrderPage, Orders } from "./pages/orders";
import { Points } from "./pages/points";
import { Queue, QueueOrder } from "./pages/queue";
import { Shadow, ShadowBanner } from "./pages/shadow";
import { LinkSignIn, ResetPassword, SignIn, WrongApp } from "./pages/sign_in";
import { Statement } from "./pages/statement";
import { route } from "./route";
import { type Account as AccountState, account, isOnline, notice, resume, sessionState, startError, t } from "./state";
import { Loading, Numbers, Problem } from "./ui";

export function App() {
  return (
    <>
      {!isOnline.value && (
        <p class="offline" role="alert">
          {t("offline")}
        </p>
      )}
      <Content />
      <div class={notice.value ? "notice shown" : "notice"} role="status">
        <Numbers text={notice.value} />
      </div>
    </>
  );
}

function Content() {
  if (startError.value) {
    return (
      <main>
        <Problem error={startError.value} retry={() => void resume()} />
      </main>
    );
  }
  if (sessionState.value.status === "starting") {
    return (
      <main>
        <Loading />
      </main>
    );
  }
  // A code is meant to be used, also while an account is signed in.
  const { page, id: code } = route.value;
  if (page === "shadow") return <Shadow key={code} token={code} />;
  if (page === "reset") return <ResetPassword key={code} code={code} />;
  if (page === "link") return <LinkSignIn key={code} code={code} />;
  const signedIn = account.value;
  if (!signedIn) return <SignIn />;
  // The key: another account begins with components of its own.
  if (signedIn.identity.role === "partner") return <Shop key={signedIn.identity.subject} account={signedIn} />;
  if (signedIn.identity.role === "subdist") return <SubdistQueue key={signedIn.identity.subject} account={signedIn} />;
  return <WrongApp role={signedIn.identity.role} />;
}

const SHOP_TABS = ["", "orders", "invoices", "points", "account"] as const;
const QUEUE_TABS = ["", "account"] as const;

function Shop({ account }: { account: AccountState }) {
  return (
    <>
      {account.identity.isShadow && <ShadowBanner account={account} />}
      <main>
        <ShopPage account={account} />
      </main>
      <Tabs names={SHOP_TABS} first="tab.catalogue" />
    </>
  );
}

function ShopPage({ account }: { account: AccountState }) {
  const { page, id } = route.value;
  switch (page) {
    case "basket":
      return <BasketPage account={account} />;
    case "orders":
      return id ? <OrderPage key={id} account={account} id={id} /> : <Orders account={account} />;
    case "invoices":
      return <Invoices account={account} />;
    case "statement":
      return <Statement account={account} />;
    case "points":
      return <Points account={account} />;
    case "account":
      return <Account account={account} />;
    default:
      return <CataloguePage account={account} />;
  }
}

function SubdistQueue({ account }: { account: AccountState }) {
  const { page, id } = route.value;
  return (
    <>
      <main>
        {page === "account" ? (
          <Account account={account} />
        ) : page === "orders" && id ? (
          <QueueOrder key={id} account={account} id={id} />
        ) : (
          <Queue account={account} />
        )}
      </main>
      <Tabs names={QUEUE_TABS} first="tab.queue" />
    </>
  );
}

function Tabs({ names, first }: { names: readonly string[]; first: "tab.catalogue" | "tab.queue" }) {
  const open = route.value.page;
  const page = open === "statement" ? "invoices" : open === "orders" && first === "tab.queue" ? "" : open;
  return (
    <nav class="tabs" aria-label={t("menu")}>
      {names.map((name) => (
        <a key={name} href={`#/${name}`} aria-current={page === name ? "page" : undefined}>
          {name === "" ? t(first) : t(`tab.${name}` as "tab.orders")}
        </a>
      ))}
    </nav>
  );
}
