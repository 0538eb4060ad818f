import { PostgrestClient } from "@supabase/postgrest-js";

import type { Database } from "../database";
import type { Session } from "./session";

/** Rows, calls and enums of the schema `api`. */
export type Api = Database["api"];
/** A row of a view: `Row<"orders">`. */
export type Row<View extends keyof Api["Views"]> = Api["Views"][View]["Row"];
/** The answer of a call: `Result<"quote_order">`. */
export type Result<Call extends keyof Api["Functions"]> = Api["Functions"][Call]["Returns"];

export type Client = PostgrestClient<Database, { PostgrestVersion: "14" }, "api">;

/** Milliseconds after which a call counts as unanswered. */
const TIMEOUT = 20_000;

/**
 * A typed client of the gateway that acts for whom `session` is signed in. With `retry` the library repeats reading
 * for 7 seconds when there is no answer, before it reports that; a call that writes is never repeated.
 */
export function createClient(api: string, session: Pick<Session, "fetch">, { retry = true } = {}): Client {
  return new PostgrestClient<Database, { PostgrestVersion: "14" }, "api">(api, {
    schema: "api",
    fetch: session.fetch,
    timeout: TIMEOUT,
    retry,
  });
}
