import type { Api, Client } from "@alfa-hub/common/client";
import { type Refusal, toApiError } from "@alfa-hub/common/errors";
import { readAll } from "@alfa-hub/common/rows";
import type {
  CreateParams,
  DataProvider,
  DeleteParams,
  GetListParams,
  GetManyParams,
  GetManyReferenceParams,
  GetOneParams,
  RaRecord,
  SortPayload,
  UpdateParams,
} from "react-admin";

import { conditions, quote, requireInner } from "./conditions";
import { CONFLICT, Failure } from "./failure";
import { type View, type ViewName, viewOf } from "./views";

export type CallName = keyof Api["Functions"] & string;
export type Arguments<Name extends CallName> = Api["Functions"][Name]["Args"];

/** react-admin's data provider, and the hub's calls. */
export interface HubProvider extends DataProvider {
  /** All rows of a view, whatever the gateway's limit of rows is. Raises Failure. */
  getAll(view: ViewName, params: { sort: SortPayload; filter: object; signal?: AbortSignal }): Promise<RaRecord[]>;
  /** Call a function of the API. Raises Failure. */
  call<Name extends CallName>(name: Name, args?: object): Promise<Api["Functions"][Name]["Returns"]>;
  /** All rows that a function returns, in the order of `columns`, which is unique. Raises Failure. */
  callAll<Name extends CallName>(name: Name, args: object, columns: string[]): Promise<RaRecord[]>;
  /** Insert or replace rows in one request, which is one transaction: all are written, or none. Raises Failure. */
  upsert(view: ViewName, rows: object[]): Promise<RaRecord[]>;
}

interface Answer {
  data: unknown;
  error: Refusal | null;
  status: number;
  count?: number | null;
}

/** The parts of postgrest-js' query builder that lists use, without its types of columns. */
interface Query extends PromiseLike<Answer> {
  filter(column: string, operator: string, value: unknown): Query;
  or(filters: string): Query;
  order(column: string, options: { ascending: boolean; nullsFirst: boolean }): Query;
  range(from: number, to: number): Query;
  select(columns: string): Query;
  abortSignal(signal: AbortSignal): Query;
}

interface Table {
  select(columns: string, options?: { count?: "exact" }): Query;
  insert(rows: object): Query;
  upsert(rows: object[], options: { onConflict: string }): Query;
  update(row: object): Query;
  delete(): Query;
}

type Signal = { signal?: AbortSignal };
type Row = RaRecord;

/** What the provider needs to know: the sentence of a failure, what a conflict reads like, and who reads. */
export interface ProviderOptions {
  /** Whether an agent reads: some of their lists have a call of their own (`agentLists`). */
  isAgent(): boolean;
  failure(error: unknown): Failure;
  conflict(changed: string[]): string;
}

/** A value of a condition as PostgREST reads it. */
function written(operator: string, value: unknown): unknown {
  if (operator !== "in") return value;
  const list = Array.isArray(value) ? value : [value];
  return `(${list.map((one) => quote(String(one))).join(",")})`;
}

/** Columns whose values differ; what is embedded or computed is never sent. */
export function changes(before: Record<string, unknown>, after: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(after).filter(
      ([column, value]) =>
        column !== "id" &&
        column !== "updated_at" &&
        !isEmbedded(value, before[column]) &&
        JSON.stringify(value ?? null) !== JSON.stringify(before[column] ?? null),
    ),
  );
}

function isEmbedded(value: unknown, before: unknown): boolean {
  const seen = value ?? before;
  return typeof seen === "object" && seen !== null;
}

/** Most rows that the call of an agent's list returns. */
const MOST = 100;

/** Data provider on postgrest-js. */
export function createDataProvider(client: Client, texts: ProviderOptions): HubProvider {
  const table = (name: string) => client.from(name as never) as unknown as Table;

  async function send(query: PromiseLike<Answer>): Promise<Answer> {
    const answer = await query;
    if (answer.error) throw texts.failure(toApiError(answer.error, answer.status));
    return answer;
  }

  /** The rows of a view that meet the filter, in order; `fixed` are columns with the values they must have. */
  function selection(
    resource: string,
    { sort, filter = {}, signal }: Partial<GetListParams> & Signal,
    isCounted: boolean,
    fixed: [string, unknown][] = [],
  ): Query {
    const view = viewOf(resource);
    const { all, any, inner } = conditions(view, filter);
    let query = table(resource).select(requireInner(view.list, inner), isCounted ? { count: "exact" } : {});
    for (const [column, value] of fixed) query = query.filter(column, "eq", value);
    for (const [column, operator, value] of all) {
      query = query.filter(column, operator, written(operator, value));
    }
    for (const group of any) query = query.or(group);
    if (sort?.field) query = ordered(query, view, sort.field, sort.order === "ASC");
    return signal ? query.abortSignal(signal) : query;
  }

  /** All rows of a query that is counted, whatever the gateway's limit of rows is. */
  function complete(query: () => Query): Promise<Row[]> {
    const page = (from: number, to: number) => query().range(from, to) as PromiseLike<Answer & { data: Row[] | null }>;
    return readAll(page).catch((error: unknown) => Promise.reject(texts.failure(error)));
  }

  async function list(resource: string, params: Partial<GetListParams> & Signal, fixed: [string, unknown][] = []) {
    const view = viewOf(resource);
    const isCounted = view.isCounted ?? false;
    const { page, perPage } = params.pagination ?? { page: 1, perPage: 25 };
    const offset = (page - 1) * perPage;
    // One row more than the page shows whether there is another page.
    const query = selection(resource, params, isCounted, fixed).range(offset, offset + perPage - (isCounted ? 1 : 0));
    const { data, error, status, count } = await query;
    // The page does not exist any more: react-admin goes back to one that does.
    if (error && status === 416) return { data: [], pageInfo: { hasNextPage: false, hasPreviousPage: page > 1 } };
    if (error) throw texts.failure(toApiError(error, status));
    const rows = (data as Row[]).map((row) => identified(resource, row));
    if (isCounted) return { data: rows, total: count ?? rows.length };
    // The last page shows how many rows there are.
    if (rows.length <= perPage && (rows.length > 0 || page === 1)) return { data: rows, total: offset + rows.length };
    const pageInfo = { hasNextPage: rows.length > perPage, hasPreviousPage: page > 1 };
    return { data: rows.slice(0, perPage), pageInfo };
  }

  /** The ids of the last rows of the pages that an agent read by a call, after which the next pages begin. */
  const ends = new Map<string, unknown[]>();

  async function agentList(resource: string, call: string, { pagination, signal }: Partial<GetListParams> & Signal) {
    const { page, perPage } = pagination ?? { page: 1, perPage: 25 };
    const known = page > 1 ? (ends.get(call) ?? []) : [];
    const after = known[page - 2];
    if (page > 1 && after === undefined) return undefined;
    const args = { n: Math.min(perPage + 1, MOST), ...(after === undefined ? {} : { after }) };
    const rpc = client.rpc as unknown as (name: string, args: object, options: { get: true }) => Query;
    let query = rpc.call(client, call, args, { get: true }).select(viewOf(resource).list);
    if (signal) query = query.abortSignal(signal);
    const rows = (await send(query)).data as Row[];
    const data = rows.slice(0, perPage);
    ends.set(call, [...known.slice(0, page - 1), data.at(-1)?.id]);
    return { data, pageInfo: { hasNextPage: rows.length > Math.min(perPage, MOST - 1), hasPreviousPage: page > 1 } };
  }

  /** The call by which an agent reads a list without a filter, if there is one in this order. */
  const agentCall = (resource: string, { sort, filter }: Partial<GetListParams>) =>
    texts.isAgent() && Object.keys(filter ?? {}).length === 0
      ? viewOf(resource).agentLists?.find((list) => list.sort.field === sort?.field && list.sort.order === sort.order)?.call
      : undefined;

  async function one(resource: string, id: unknown, signal?: AbortSignal): Promise<Row> {
    const view = viewOf(resource);
    let query = table(resource).select(view.one ?? view.list).filter("id", "eq", id);
    if (signal) query = query.abortSignal(signal);
    const [row] = (await send(query)).data as Row[];
    if (!row) throw texts.failure(toApiError({ code: "NOT_FOUND", message: "There is no such record" }, 404));
    return row;
  }

  async function conflict(resource: string, id: unknown, previous: Row): Promise<never> {
    const now = await one(resource, id);
    const changed = Object.keys(changes(previous, now));
    const body = { code: CONFLICT, details: changed.join(", "), isUnanswered: false };
    throw new Failure(texts.conflict(changed), 409, body);
  }

  const refuse = () => Promise.reject(new Error("The console changes one row at a time"));

  const provider = {
    supportAbortSignal: true,
    getList: async (resource: string, params: GetListParams & Signal) => {
      const call = agentCall(resource, params);
      return (call ? await agentList(resource, call, params) : undefined) ?? list(resource, params);
    },
    getOne: async (resource: string, { id, signal }: GetOneParams & Signal) => ({
      data: await one(resource, id, signal),
    }),
    getMany: async (resource: string, { ids, signal }: GetManyParams & Signal) => {
      let query = table(resource).select(viewOf(resource).list).filter("id", "in", written("in", ids));
      if (signal) query = query.abortSignal(signal);
      return { data: (await send(query)).data as Row[] };
    },
    getManyReference: (resource: string, params: GetManyReferenceParams & Signal) =>
      list(resource, params, [[params.target, params.id]]),
    getAll: (view: ViewName, params: { sort: SortPayload; filter: object } & Signal) =>
      complete(() => selection(view, params, true)),
    create: async (resource: string, { data }: CreateParams) => {
      const { data: rows } = await send(table(resource).insert(data).select(viewOf(resource).list));
      return { data: (rows as Row[])[0] };
    },
    update: async (resource: string, { id, data, previousData }: UpdateParams) => {
      const previous = previousData as Row;
      const changed = changes(previous, data);
      if (Object.keys(changed).length === 0) return { data: previous };
      let query = table(resource).update(changed).filter("id", "eq", id);
      if (previous.updated_at) query = query.filter("updated_at", "eq", previous.updated_at);
      const { data: rows } = await send(query.select(viewOf(resource).list));
      const [row] = rows as Row[];
      return row ? { data: row } : conflict(resource, id, previous);
    },
    delete: async (resource: string, { id, previousData }: DeleteParams) => {
      let query = table(resource).delete().filter("id", "eq", id);
      if (previousData?.updated_at) query = query.filter("updated_at", "eq", previousData.updated_at);
      const { data: rows } = await send(query.select("id"));
      const [row] = rows as Row[];
      return row ? { data: row } : conflict(resource, id, previousData as Row);
    },
    updateMany: refuse,
    deleteMany: refuse,
    call: async (name: CallName, args: object = {}) => {
      const rpc = client.rpc as unknown as (name: string, args: object) => PromiseLike<Answer>;
      return (await send(rpc.call(client, name, args))).data;
    },
    callAll: (name: CallName, args: object, columns: string[]) => {
      const rpc = client.rpc as unknown as (name: string, args: object, options: { count: "exact" }) => Query;
      const rows = () => rpc.call(client, name, args, { count: "exact" });
      return complete(() => columns.reduce((query, column) => query.order(column, { ascending: true, nullsFirst: false }), rows()));
    },
    upsert: async (view: ViewName, rows: object[]) =>
      (await send(table(view).upsert(rows, { onConflict: "id" }).select("*"))).data as Row[],
  };
  return provider as unknown as HubProvider;
}

/** Order by a column, then by a unique one, so that pages do not overlap. */
function ordered(query: Query, view: View, field: string, ascending: boolean): Query {
  const last = view.tieBreak ?? "id";
  const sorted = query.order(field, { ascending, nullsFirst: false });
  return field === last ? sorted : sorted.order(last, { ascending, nullsFirst: false });
}

/** react-admin needs an id in each row; a quarantined row of the work queue has none. */
function identified(resource: string, row: Row): Row {
  if (resource !== "work_queue") return row;
  return { ...row, subject_id: row.id, id: `${row.kind}:${row.id ?? row.subject}` };
}
