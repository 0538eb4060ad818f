import { Box, Typography } from "@mui/material";
import type { ReactElement, ReactNode } from "react";
import {
  CreateButton,
  DataTable,
  FilterButton,
  FilterForm,
  List,
  Pagination,
  SearchInput,
  type SortPayload,
  TopToolbar,
  useListContext,
} from "react-admin";

import { ListFailure } from "./FailureNote";
import { useIsHeadquarters, useRole, useWords } from "./hub";

interface Props {
  sort: SortPayload;
  /** Text of the search field; none: there is no search. */
  search?: string;
  filters?: ReactElement[];
  /** Conditions that are always in force. */
  filter?: Record<string, unknown>;
  filterDefaultValues?: Record<string, unknown>;
  /** True for who may add rows. */
  canCreate?: boolean;
  title?: string;
  /** Above the table. */
  intro?: ReactNode;
  rowClick?: "show" | "edit" | false;
  perPage?: number;
  children: ReactNode;
}

/** A list of the console: search and filters above, a table, pages below; failures and emptiness in words. */
export function HubList({
  sort,
  search,
  filters = [],
  filter,
  filterDefaultValues,
  canCreate = false,
  title,
  intro,
  rowClick = "show",
  perPage = 25,
  children,
}: Props) {
  const { t } = useWords();
  const inputs = [
    ...(search
      ? [<SearchInput key="q" source="q" alwaysOn placeholder={search} aria-label={search} sx={{ minWidth: { sm: 320 } }} />]
      : []),
    ...filters,
  ];
  const hasMore = filters.some((input) => !(input.props as { alwaysOn?: boolean }).alwaysOn);
  return (
    <List
      sort={sort}
      perPage={perPage}
      {...(filter ? { filter } : {})}
      {...(filterDefaultValues ? { filterDefaultValues } : {})}
      {...(title ? { title } : {})}
      exporter={false}
      // A table that is wider than the screen scrolls, and not the page.
      sx={{ minWidth: 0, "& .RaList-main": { minWidth: 0 }, "& .RaList-content": { overflowX: "auto" } }}
      actions={
        <Box sx={{ width: "100%" }}>
          {intro}
          <Box sx={{ display: "flex", flexWrap: { xs: "wrap", sm: "nowrap" }, alignItems: "flex-end", justifyContent: "space-between" }}>
            {inputs.length > 0 ? <FilterForm filters={inputs} /> : <span />}
            <TopToolbar>
              {hasMore ? <FilterButton filters={inputs} disableSaveQuery /> : null}
              {canCreate ? <CreateButton /> : null}
            </TopToolbar>
          </Box>
        </Box>
      }
      empty={false}
      error={<ListFailure />}
      pagination={<Pagination rowsPerPageOptions={[25, 50, 100]} />}
    >
      <DataTable
        bulkActionButtons={false}
        rowClick={rowClick}
        empty={<Nothing text={t("hub.empty")} filtered={t("hub.empty_filtered")} />}
      >
        {children}
      </DataTable>
    </List>
  );
}

function Nothing({ text, filtered }: { text: string; filtered: string }) {
  const { filterValues } = useListContext();
  const isFiltered = Object.keys(filterValues ?? {}).length > 0;
  return <Typography sx={{ p: 3 }}>{isFiltered ? filtered : text}</Typography>;
}

/** Master data is written by headquarters; staff accounts by superadmins. */
export function useCanWrite(view: string): boolean {
  const isHeadquarters = useIsHeadquarters();
  const role = useRole();
  return view === "agents" ? role === "superadmin" : isHeadquarters;
}
