import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { SortPayload } from "react-admin";

import type { Row } from "../actions/actions";
import { FailureNote } from "./FailureNote";
import { Section } from "./fields";
import { useProvider } from "./hub";

interface RowsOptions {
  /** None: the order of the view itself. */
  sort?: SortPayload;
  filter?: object;
  perPage?: number;
  /** Milliseconds after which the rows are read again. */
  refetchInterval?: number;
}

/** The first rows of a view. */
export function useRows(view: string, options: RowsOptions = {}) {
  const { sort = { field: "", order: "ASC" }, filter = {}, perPage = 20, refetchInterval = false } = options;
  const provider = useProvider();
  return useQuery({
    queryKey: [view, "getList", "rows", sort, filter, perPage],
    queryFn: ({ signal }) => provider.getList(view, { pagination: { page: 1, perPage }, sort, filter, signal }),
    select: ({ data }): Row[] => data,
    refetchInterval,
  });
}

interface RelatedOptions {
  /** Column that has the newest or largest rows first. */
  newest: string;
  filter?: object;
  perPage?: number;
  enabled?: boolean;
}

/** Rows of a view whose column `target` names the row `id`. */
export function useRelated(view: string, target: string, id: string, options: RelatedOptions) {
  const { newest, filter = {}, perPage = 20, enabled = true } = options;
  const provider = useProvider();
  return useQuery({
    queryKey: [view, "getManyReference", target, id, newest, filter, perPage],
    queryFn: ({ signal }) =>
      provider.getManyReference(view, {
        target,
        id,
        pagination: { page: 1, perPage },
        sort: { field: newest, order: "DESC" },
        filter,
        signal,
      }),
    select: ({ data }): Row[] => data,
    enabled,
  });
}

interface Query<T> {
  data: T | undefined;
  error: unknown;
  refetch: () => unknown;
}

interface PartProps<T> {
  title: string;
  actions?: ReactNode;
  query: Query<T>;
  children: (data: T) => ReactNode;
}

/** A part of a page that a query fills: what was read, or why it could not be read. */
export function QueryPart<T>({ title, actions, query, children }: PartProps<T>) {
  return (
    <Section title={title} actions={actions}>
      {query.error ? <FailureNote error={query.error} retry={() => void query.refetch()} /> : null}
      {query.data !== undefined && !query.error ? children(query.data) : null}
    </Section>
  );
}
