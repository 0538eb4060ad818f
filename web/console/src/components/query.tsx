import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { SortPayload } from "react-admin";

import type { Row } from "../actions/actions";
import { isCut, type Page } from "../provider/page";
import type { ViewName } from "../provider/views";
import { FailureNote } from "./FailureNote";
import { CutNote, Section } from "./fields";
import { useProvider } from "./hub";

interface RowsOptions {
  /** None: the order of the view itself. */
  sort?: SortPayload;
  filter?: object;
  perPage?: number;
  /** Milliseconds after which the rows are read again. */
  refetchInterval?: number;
}

/** Rows of a view, and whether it has more than were read. */
export interface Rows {
  data: Row[] | undefined;
  isCut: boolean;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
}

function asRows({ data: page, error, isPending, refetch }: Omit<Rows, "data" | "isCut"> & { data: Page | undefined }): Rows {
  return { data: page?.data, isCut: page !== undefined && isCut(page), error, isPending, refetch };
}

/** The first rows of a view. Who shows them says when they are not all (`isCut`). */
export function useRows(view: string, options: RowsOptions = {}): Rows {
  const { sort = { field: "", order: "ASC" }, filter = {}, perPage = 20, refetchInterval = false } = options;
  const provider = useProvider();
  return asRows(
    useQuery({
      queryKey: [view, "getList", "rows", sort, filter, perPage],
      queryFn: ({ signal }): Promise<Page> => provider.getList(view, { pagination: { page: 1, perPage }, sort, filter, signal }),
      refetchInterval,
    }),
  );
}

/** All rows of a view, for what is wrong or misleading when some are missing: trees, timelines, choices. */
export function useAllRows(view: ViewName, sort: SortPayload, filter: object = {}): Rows {
  const provider = useProvider();
  return asRows(
    useQuery({
      queryKey: [view, "getList", "all", sort, filter],
      queryFn: async ({ signal }): Promise<Page> => ({ data: await provider.getAll(view, { sort, filter, signal }) }),
    }),
  );
}

interface RelatedOptions {
  /** Column that has the newest or largest rows first. */
  newest: string;
  filter?: object;
  perPage?: number;
  enabled?: boolean;
}

/** The newest or largest rows of a view whose column `target` names the row `id`. */
export function useRelated(view: string, target: string, id: string, options: RelatedOptions): Rows {
  const { newest, filter = {}, perPage = 20, enabled = true } = options;
  const provider = useProvider();
  return asRows(
    useQuery({
      queryKey: [view, "getManyReference", target, id, newest, filter, perPage],
      queryFn: ({ signal }): Promise<Page> =>
        provider.getManyReference(view, {
          target,
          id,
          pagination: { page: 1, perPage },
          sort: { field: newest, order: "DESC" },
          filter,
          signal,
        }),
      enabled,
    }),
  );
}

interface Query<T> {
  data: T | undefined;
  isCut?: boolean;
  error: unknown;
  refetch: () => unknown;
}

interface PartProps<T> {
  title: string;
  actions?: ReactNode;
  query: Query<T>;
  children: (data: T) => ReactNode;
}

/** A part of a page that a query fills: what was read, whether there is more, or why it could not be read. */
export function QueryPart<T>({ title, actions, query, children }: PartProps<T>) {
  return (
    <Section title={title} actions={actions}>
      {query.error ? <FailureNote error={query.error} retry={() => void query.refetch()} /> : null}
      {query.data !== undefined && !query.error ? children(query.data) : null}
      {query.isCut ? <CutNote /> : null}
    </Section>
  );
}
