import { Box, Button, Typography } from "@mui/material";
import type { ReactNode } from "react";
import { required, SelectInput, TextInput, Title } from "react-admin";
import { Link } from "react-router-dom";

import type { Row } from "../actions/actions";
import { FailureNote } from "../components/FailureNote";
import { To } from "../components/fields";
import { HubCreate, HubEdit } from "../components/forms";
import { useCanWrite } from "../components/HubList";
import { useWords } from "../components/hub";
import { useAllRows } from "../components/query";
import { NameInput } from "../components/references";
import { type Node, tree } from "./tree";

interface Props {
  view: "regions" | "categories";
  parent: string;
  sort: string;
  more: (row: Row) => ReactNode;
}

function TreePage({ view, parent, sort, more }: Props) {
  const { t } = useWords();
  const canWrite = useCanWrite(view);
  const { data = [], error, refetch } = useAllRows(view, { field: sort, order: "ASC" });
  const title = t(`resources.${view}.name`, { smart_count: 2 });
  return (
    <Box sx={{ mt: 2 }}>
      <Title title={title} />
      {canWrite ? (
        <Button component={Link} to={`/${view}/create`} variant="outlined" size="small" sx={{ mb: 2 }}>
          {t("ra.action.create")}
        </Button>
      ) : null}
      {error ? <FailureNote error={error} retry={() => void refetch()} /> : null}
      <Box sx={{ bgcolor: "background.paper", boxShadow: 1, borderRadius: 1, p: 2 }}>
        <Branch nodes={tree(data, parent)} view={view} canWrite={canWrite} more={more} />
      </Box>
    </Box>
  );
}

function Branch({ nodes, view, canWrite, more }: { nodes: Node[]; view: string; canWrite: boolean; more: Props["more"] }) {
  if (nodes.length === 0) return null;
  return (
    <Box component="ul" sx={{ m: 0, pl: 2.5 }}>
      {nodes.map(({ row, children }) => (
        <Box component="li" key={row.id} sx={{ my: 0.5 }}>
          {canWrite ? <To to={`/${view}/${row.id}`}>{row.name}</To> : row.name}
          <Typography component="span" variant="body2" color="text.secondary" sx={{ ml: 1 }}>
            {more(row)}
          </Typography>
          <Branch nodes={children} view={view} canWrite={canWrite} more={more} />
        </Box>
      ))}
    </Box>
  );
}

export const RegionTree = () => (
  <TreePage
    view="regions"
    parent="parent_region_id"
    sort="name"
    more={(row) => [row.code, row.time_zone].filter(Boolean).join(" · ")}
  />
);

export const CategoryTree = () => <TreePage view="categories" parent="parent_id" sort="display_order" more={(row) => row.slug} />;

const ZONES = ["Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura"].map((id) => ({ id, name: id }));

const regionFields = (
  <>
    <TextInput source="name" validate={required()} fullWidth />
    <TextInput source="code" validate={required()} />
    <NameInput source="parent_region_id" view="regions" />
    <SelectInput source="time_zone" choices={ZONES} />
  </>
);

export const RegionEdit = () => (
  <HubEdit canDelete redirect="list">
    {regionFields}
  </HubEdit>
);
export const RegionCreate = () => <HubCreate redirect="list">{regionFields}</HubCreate>;
