import type { Client } from "@alfa-hub/common/client";
import type { Role, Session } from "@alfa-hub/common/session";
import { QueryClient } from "@tanstack/react-query";
import { lazy, useMemo, useSyncExternalStore } from "react";
import { AdminContext, AdminUI, CustomRoutes, type I18nProvider, memoryStore, Resource, type ResourceProps } from "react-admin";
import { Route, useLocation } from "react-router-dom";

import { ownText } from "./components/failing";
import { HubRoot, useRole, useWords } from "./components/hub";
import { Layout } from "./components/Layout";
import { Login } from "./components/Login";
import { AccessDenied, NotFound } from "./components/messages";
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
import { createAuthProvider, mayAccess, STAFF } from "./provider/authProvider";
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
    isAgent: () => session.identity?.role === "agent",
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

/** The pages of each view. What a role may not open does not exist for it. */
const RESOURCES: ResourceProps[] = [
  { name: "orders", list: OrderList, show: OrderShow, recordRepresentation: "order_number" },
  { name: "partners", list: PartnerList, show: PartnerShow, edit: PartnerEdit, create: PartnerCreate, recordRepresentation: "business_name" },
  { name: "sla_escalation_logs", list: EscalationList },
  { name: "invoices", list: InvoiceList, show: InvoiceShow, recordRepresentation: "invoice_number" },
  { name: "invoice_payments", list: PaymentList },
  { name: "credit_notes", list: CreditNoteList },
  { name: "products", list: ProductList, show: ProductShow, edit: ProductEdit, create: ProductCreate, recordRepresentation: "name" },
  { name: "inventory", list: StockList, edit: StockEdit, recordRepresentation: "products.name" },
  { name: "brands", list: BrandList, edit: BrandEdit, create: BrandCreate, recordRepresentation: "name" },
  { name: "categories", list: CategoryTree, edit: CategoryEdit, create: CategoryCreate, recordRepresentation: "name" },
  { name: "point_transactions", list: PointList },
  { name: "redemptions", list: RedemptionList },
  { name: "redemption_catalog", list: RewardList, edit: RewardEdit, create: RewardCreate, recordRepresentation: "name" },
  { name: "sub_distributors", list: SubdistList, show: SubdistShow, edit: SubdistEdit, create: SubdistCreate, recordRepresentation: "business_name" },
  { name: "regions", list: RegionTree, edit: RegionEdit, create: RegionCreate, recordRepresentation: "name" },
  { name: "agents", list: AgentList, show: AgentShow, edit: AgentEdit, create: AgentCreate, recordRepresentation: "full_name" },
  { name: "messages", list: MessageList },
  { name: "job_health", list: JobList },
  { name: "erp_quarantine", list: QuarantineList },
  { name: "audit_logs", list: AuditList },
  { name: "agent_sessions", list: SessionList },
  { name: "system_configs", list: ConfigList, show: ConfigShow, recordRepresentation: "config_key" },
];

function resourcesOf(role: Role | undefined): ResourceProps[] {
  return RESOURCES.filter(({ name }) => mayAccess(role, name, "list")).map((resource) => {
    const { edit, create, ...others } = resource;
    return mayAccess(role, resource.name, "edit") ? { ...others, ...(edit && { edit }), ...(create && { create }) } : others;
  });
}

/** A page that does not exist, or not for this role. */
function Elsewhere() {
  const { pathname } = useLocation();
  const isKnown = RESOURCES.some(({ name }) => pathname.split("/")[1] === name);
  return isKnown ? <AccessDenied /> : <NotFound />;
}

function Console() {
  const { t } = useWords();
  const role = useRole();
  const resources = useMemo(() => resourcesOf(role), [role]);
  return (
    <AdminUI
      layout={Layout}
      dashboard={Home}
      catchAll={Elsewhere}
      accessDenied={AccessDenied}
      title={t("hub.title")}
      disableTelemetry
    >
      {resources.map((resource) => (
        <Resource key={resource.name} {...resource} />
      ))}
      <CustomRoutes>
        <Route path="/reports" element={<Reports />} />
        <Route path="/account" element={<Account />} />
      </CustomRoutes>
    </AdminUI>
  );
}
