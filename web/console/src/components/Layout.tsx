import AccountTree from "@mui/icons-material/AccountTree";
import Assessment from "@mui/icons-material/Assessment";
import AssignmentTurnedIn from "@mui/icons-material/AssignmentTurnedIn";
import Category from "@mui/icons-material/Category";
import Groups from "@mui/icons-material/Groups";
import HistoryIcon from "@mui/icons-material/History";
import Inventory2 from "@mui/icons-material/Inventory2";
import Key from "@mui/icons-material/Key";
import LocalShipping from "@mui/icons-material/LocalShipping";
import Payments from "@mui/icons-material/Payments";
import Percent from "@mui/icons-material/Percent";
import Receipt from "@mui/icons-material/Receipt";
import Redeem from "@mui/icons-material/Redeem";
import Schedule from "@mui/icons-material/Schedule";
import Sell from "@mui/icons-material/Sell";
import Send from "@mui/icons-material/Send";
import Settings from "@mui/icons-material/Settings";
import ShoppingCart from "@mui/icons-material/ShoppingCart";
import Star from "@mui/icons-material/Star";
import SupportAgent from "@mui/icons-material/SupportAgent";
import Undo from "@mui/icons-material/Undo";
import Warning from "@mui/icons-material/Warning";
import { ListItemIcon, ListItemText, ListSubheader, MenuItem } from "@mui/material";
import { type ComponentType, type ReactNode, Suspense } from "react";
import { AppBar, Layout as RaLayout, LoadingIndicator, Logout, Menu, TitlePortal, UserMenu, useUserMenu } from "react-admin";
import { Link } from "react-router-dom";

import { mayAccess } from "../provider/authProvider";
import { useRole, useWords } from "./hub";
import { LanguageButton } from "./LanguageButton";
import { PageError } from "./messages";

type Entry = [view: string, icon: ComponentType];

/** Pages by what they are about. */
const GROUPS: [name: string, entries: Entry[]][] = [
  ["sales", [["orders", ShoppingCart], ["partners", Groups], ["sla_escalation_logs", Schedule]]],
  ["money", [["invoices", Receipt], ["invoice_payments", Payments], ["credit_notes", Undo]]],
  ["catalogue", [["products", Sell], ["inventory", Inventory2], ["brands", Percent], ["categories", Category]]],
  ["loyalty", [["point_transactions", Star], ["redemptions", Redeem], ["redemption_catalog", Redeem]]],
  ["network", [["sub_distributors", LocalShipping], ["regions", AccountTree], ["agents", SupportAgent]]],
  [
    "system",
    [
      ["messages", Send],
      ["job_health", Schedule],
      ["erp_quarantine", Warning],
      ["audit_logs", HistoryIcon],
      ["agent_sessions", Key],
      ["system_configs", Settings],
    ],
  ],
];

function HubMenu() {
  const { t } = useWords();
  const role = useRole();
  return (
    <Menu dense>
      <Menu.Item to="/" primaryText={t(role === "agent" ? "hub.menu.start" : "hub.menu.queue")} leftIcon={<AssignmentTurnedIn />} />
      <Menu.Item to="/reports" primaryText={t("hub.menu.reports")} leftIcon={<Assessment />} />
      {GROUPS.map(([name, entries]) => {
        const visible = entries.filter(([view]) => mayAccess(role, view, "list"));
        if (visible.length === 0) return null;
        return [
          <ListSubheader key={name} component="div" role="presentation" sx={{ lineHeight: "32px", bgcolor: "transparent", color: "text.secondary" }}>
            {t(`hub.menu.${name}`)}
          </ListSubheader>,
          ...visible.map(([view, Icon]) => (
            <Menu.Item key={view} to={`/${view}`} primaryText={t(`resources.${view}.name`, { smart_count: 2 })} leftIcon={<Icon />} />
          )),
        ];
      })}
    </Menu>
  );
}

function AccountItem() {
  const { t } = useWords();
  const menu = useUserMenu();
  return (
    <MenuItem component={Link} to="/account" onClick={() => menu?.onClose()}>
      <ListItemIcon>
        <Key fontSize="small" />
      </ListItemIcon>
      <ListItemText>{t("hub.menu.account")}</ListItemText>
    </MenuItem>
  );
}

function HubBar() {
  const { t } = useWords();
  return (
    <AppBar
      toolbar={
        <>
          <LanguageButton />
          <LoadingIndicator aria-label={t("ra.page.loading")} />
        </>
      }
      userMenu={
        <UserMenu label="">
          <AccountItem />
          <Logout />
        </UserMenu>
      }
    >
      <TitlePortal variant="h6" component="h1" />
    </AppBar>
  );
}

export function Layout({ children }: { children: ReactNode }) {
  return (
    // No wider than the screen: what is wider, such as a table on a phone, scrolls.
    <RaLayout appBar={HubBar} menu={HubMenu} error={PageError} sx={{ minWidth: 0, "& .RaLayout-content": { minWidth: 0 } }}>
      <Suspense fallback={null}>{children}</Suspense>
    </RaLayout>
  );
}
