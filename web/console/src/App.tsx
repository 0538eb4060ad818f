import type { Client } from "@alfa-hub/common/client";
import type { Session } from "@alfa-hub/common/session";
import { QueryClient } from "@tanstack/react-query";
import { lazy, useMemo, useSyncExternalStore } from "react";
import { AdminContext, AdminUI, CustomRoutes, type I18nProvider, memoryStore, Resource } from "react-admin";
import { Route } from "react-router-dom";

import { ownText } from "./components/failing";
import { HubRoot, useRole, useWords } from "./components/hub";
import { Layout } from "./components/Layout";
import { Login } from "./components/Login";
import { Account } from "./pages/Account";
import { AgentHome } from "./pages/AgentHome";
import { AgentCreate, AgentEdit, AgentList, AgentShow } from "./pages/agents";
import { BrandCreate, BrandEdit, BrandList, CategoryCreate, CategoryEdit, RewardCreate, RewardEdit, RewardList } from "./pages/catalogue";
import { EscalationList } from "./pages/escalations";
import { CreditNoteList, InvoiceList, InvoiceShow, PaymentList } from "./pages/invoices";
import { OrderList, OrderShow } from "./pages/orders";
import { PartnerCreate, PartnerEdit, PartnerList, PartnerShow } from "./pages/partners";
import { PointList, RedemptionList } from "./pages/points";
import { ProductCreate, ProductEdit, ProductList, ProductShow } from "./pages/products";
import { StockEdit, StockList } from "./pages/stock";
import { SubdistCreate, SubdistEdit, SubdistList, SubdistShow } from "./pages/subdistributors";
import { AuditList, ConfigList, ConfigShow, JobList, MessageList, QuarantineList, SessionList } from "./pages/system";
import { CategoryTree, RegionCreate, RegionEdit, RegionTree } from "./pages/trees";
import { WorkQueue } from "./pages/WorkQueue";
import { createAuthProvider, STAFF } from "./provider/authProvider";
import { createDataProvider } from "./provider/dataProvider";
import { toFailure } from "./provider/failure";
import { theme } from "./theme";

const Reports = lazy(() => import("./pages/Reports"));

function Home() {
  return useRole() === "agent" ? <AgentHome /> : <WorkQueue />;
}

interface Props {
  session: Session;
  client: Client;
  i18n: I18nProvider;
}

/** The console. `session` has been restored. */
export function createApp({ session, client, i18n }: Props) {
  const language = () => (i18n.getLocale() === "en" ? "en" : "id");
  const fail = (error: unknown) => toFailure(error, language(), (code) => ownText(code, i18n.translate));
  const dataProvider = createDataProvider(client, {
    failure: fail,
    conflict: (changed) =>
      changed.length > 0
        ? i18n.translate("hub.failure.conflict", {
            columns: changed.map((column) => i18n.translate(`resources.orders.fields.${column}`, { _: column })).join(", "),
          })
        : i18n.translate("hub.failure.conflict_unknown"),
  });
  const authProvider = createAuthProvider(session, client);

  return function App() {
    const state = useSyncExternalStore(
      (changed) => session.subscribe(changed),
      () => session.state,
    );
    const who = state.status === "signed-in" && STAFF.includes(state.identity.role) ? state.identity.subject : "";
    // What was read and where one has been ends with the session. Preferences live as long: lists remember the names
    // that were searched for.
    const memory = useMemo(
      () => ({ who, queryClient: new QueryClient({ defaultOptions: { queries: { retry: false } } }), store: memoryStore() }),
      [who],
    );
    return (
      <HubRoot session={session} client={client}>
        <AdminContext
          key={who}
          dataProvider={dataProvider}
          authProvider={authProvider}
          i18nProvider={i18n}
          queryClient={memory.queryClient}
          store={memory.store}
          theme={theme}
          darkTheme={null}
        >
          {who ? <Console /> : <Login {...(state.status === "signed-out" && state.reason ? { reason: state.reason } : {})} />}
        </AdminContext>
      </HubRoot>
    );
  };
}

function Console() {
  const { t } = useWords();
  return (
    <AdminUI layout={Layout} dashboard={Home} title={t("hub.title")} disableTelemetry>
      <Resource name="orders" list={OrderList} show={OrderShow} recordRepresentation="order_number" />
      <Resource name="partners" list={PartnerList} show={PartnerShow} edit={PartnerEdit} create={PartnerCreate} recordRepresentation="business_name" />
      <Resource name="sla_escalation_logs" list={EscalationList} />
      <Resource name="invoices" list={InvoiceList} show={InvoiceShow} recordRepresentation="invoice_number" />
      <Resource name="invoice_payments" list={PaymentList} />
      <Resource name="credit_notes" list={CreditNoteList} />
      <Resource name="products" list={ProductList} show={ProductShow} edit={ProductEdit} create={ProductCreate} recordRepresentation="name" />
      <Resource name="inventory" list={StockList} edit={StockEdit} recordRepresentation="products.name" />
      <Resource name="brands" list={BrandList} edit={BrandEdit} create={BrandCreate} recordRepresentation="name" />
      <Resource name="categories" list={CategoryTree} edit={CategoryEdit} create={CategoryCreate} recordRepresentation="name" />
      <Resource name="point_transactions" list={PointList} />
      <Resource name="redemptions" list={RedemptionList} />
      <Resource name="redemption_catalog" list={RewardList} edit={RewardEdit} create={RewardCreate} recordRepresentation="name" />
      <Resource name="sub_distributors" list={SubdistList} show={SubdistShow} edit={SubdistEdit} create={SubdistCreate} recordRepresentation="business_name" />
      <Resource name="regions" list={RegionTree} edit={RegionEdit} create={RegionCreate} recordRepresentation="name" />
      <Resource name="agents" list={AgentList} show={AgentShow} edit={AgentEdit} create={AgentCreate} recordRepresentation="full_name" />
      <Resource name="messages" list={MessageList} />
      <Resource name="job_health" list={JobList} />
      <Resource name="erp_quarantine" list={QuarantineList} />
      <Resource name="audit_logs" list={AuditList} />
      <Resource name="agent_sessions" list={SessionList} />
      <Resource name="system_configs" list={ConfigList} show={ConfigShow} recordRepresentation="config_key" />
      <CustomRoutes>
        <Route path="/reports" element={<Reports />} />
        <Route path="/account" element={<Account />} />
      </CustomRoutes>
    </AdminUI>
  );
}
