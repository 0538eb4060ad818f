import type { Client } from "@alfa-hub/common/client";
import { ApiError, unwrap } from "@alfa-hub/common/errors";
import type { Role, Session } from "@alfa-hub/common/session";
import type { AuthProvider } from "react-admin";

/** Roles that the console is made for. */
export const STAFF: readonly Role[] = ["agent", "admin", "superadmin"];
export const HEADQUARTERS: readonly Role[] = ["admin", "superadmin"];

/** What a role reads. Superadmins read what admins do, and this. */
const AGENT = new Set([
  "brands",
  "categories",
  "credit_notes",
  "invoice_payments",
  "invoices",
  "order_items",
  "orders",
  "overdue_invoices",
  "partner_statistics",
  "partners",
  "products",
  "receivables",
  "regions",
  "reports",
  "sla_escalation_logs",
  "staff",
  "sub_distributors",
]);
const SUPERADMIN = new Set(["agents", "system_config_history"]);

/** Whether a role may do this; the API decides, the console leaves out what it would refuse. */
export function mayAccess(role: Role | undefined, resource: string, action: string): boolean {
  if (role === "superadmin") return true;
  if (role === "admin") return !SUPERADMIN.has(resource);
  return role === "agent" && AGENT.has(resource) && (action === "list" || action === "show");
}

/** The staff's role among those of a person who has several accounts. */
export function staffRole(error: unknown): Role | undefined {
  if (!(error instanceof ApiError) || error.code !== "CHOOSE_ROLE") return undefined;
  return STAFF.find((role) => new RegExp(`\\b${role}\\b`).test(error.details));
}

/** Sign in as one of the staff. Raises ApiError, NOT_STAFF for anyone else. */
export async function signIn(session: Session, email: string, password: string): Promise<void> {
  try {
    await session.signIn(email, password);
  } catch (error) {
    const role = staffRole(error);
    if (!role) throw error;
    await session.signIn(email, password, role);
  }
  if (session.identity && !STAFF.includes(session.identity.role)) {
    await session.signOut();
    throw new ApiError(403, "NOT_STAFF", "This account is not one of the staff");
  }
}

/**
 * react-admin's auth provider on a session of web/common. react-admin is mounted while someone is signed in, so it
 * neither asks to sign in nor sends anyone away: the end of the session unmounts it.
 */
export function createAuthProvider(session: Session, client: Client): AuthProvider {
  return {
    login: () => Promise.reject(new Error("The console signs in before react-admin starts")),
    logout: async () => {
      await session.signOut();
      return false;
    },
    checkAuth: () => Promise.resolve(),
    checkError: () => Promise.resolve(),
    getIdentity: async () => {
      const rows = await unwrap(client.from("me").select("id,name,role"));
      const me = rows[0];
      return { id: me?.id ?? "", fullName: me?.name ?? "" };
    },
    getPermissions: async () => session.identity?.role,
    canAccess: async ({ resource, action }) => mayAccess(session.identity?.role, resource, action),
  };
}
