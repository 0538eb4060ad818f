import { Typography } from "@mui/material";
import {
  BooleanInput,
  DataTable,
  type Identifier,
  minValue,
  NullableBooleanInput,
  NumberInput,
  required,
  TextInput,
  useGetOne,
} from "react-admin";

import type { Row } from "../actions/actions";
import { FailureNote } from "../components/FailureNote";
import { Active, Facts, Flag, RowLink, Section } from "../components/fields";
import { HubCreate, HubEdit } from "../components/forms";
import { HubList, useCanWrite } from "../components/HubList";
import { useIsHeadquarters, useWords } from "../components/hub";
import { Numbers } from "../components/Numbers";
import { NameInput } from "../components/references";
import { Columns, ShowPage } from "../components/ShowPage";
import { PriceTimeline } from "./PriceTimeline";

export function ProductList() {
  const { t, money, number } = useWords();
  return (
    <HubList
      sort={{ field: "name", order: "ASC" }}
      search={t("hub.search.any")}
      canCreate={useCanWrite("products")}
      filters={[
        <NameInput key="brand" source="brand_id" view="brands" />,
        <NameInput key="category" source="category_id" view="categories" />,
        <NullableBooleanInput key="active" source="is_active" />,
      ]}
    >
      <DataTable.Col source="sku" render={(row: Row) => <Numbers text={row.sku} />} />
      <DataTable.Col source="name" render={(row: Row) => <RowLink view="products" id={row.id}>{row.name}</RowLink>} />
      <DataTable.Col source="brand_id" disableSort render={(row: Row) => row.brands?.name} />
      <DataTable.Col source="category_id" disableSort render={(row: Row) => row.categories?.name} />
      <DataTable.Col
        align="right"
        source="price"
        label="resources.products.fields.base_price"
        render={(row: Row) => money(row.price) || "–"}
      />
      <DataTable.Col
        source="display_stock"
        disableSort
        render={(row: Row) => (
          <>
            {number(row.display_stock)} {row.stock_stale ? <Flag label={t("hub.product.stale")} /> : null}
          </>
        )}
      />
      <DataTable.Col source="is_active" disableSort render={(row: Row) => <Active row={row} />} />
    </HubList>
  );
}

function ProductFields() {
  return (
    <>
      <TextInput source="sku" validate={required()} />
      <TextInput source="name" validate={required()} fullWidth />
      <TextInput source="description" multiline fullWidth />
      <NameInput source="brand_id" view="brands" validate={required()} />
      <NameInput source="category_id" view="categories" validate={required()} />
      <NumberInput source="base_price" min={0} validate={[required(), minValue(0)]} />
      <NumberInput source="retail_price" min={0} />
      <TextInput source="image_url" type="url" fullWidth />
      <BooleanInput source="is_active" />
    </>
  );
}

/** Products are written where their list prices are, and shown with their stock. */
const page = (_view?: string, id?: Identifier) => (id ? `products/${id}/show` : "products");

export const ProductEdit = () => (
  <HubEdit canDelete view="product_master" redirect={page}>
    <ProductFields />
  </HubEdit>
);

export const ProductCreate = () => (
  <HubCreate defaults={{ is_active: true }} view="product_master" redirect={page}>
    <ProductFields />
  </HubCreate>
);

export function ProductShow() {
  const { t, money, number, moment } = useWords();
  const isHeadquarters = useIsHeadquarters();
  const name = (field: string) => t(`resources.products.fields.${field}`);
  return (
    <ShowPage
      title={(product) => product.name}
      canEdit
      audit="products"
      state={(product) => (product.is_active ? null : <Flag label={`${name("is_active")}: ${t("hub.no")}`} />)}
    >
      {(product) => (
        <Columns
          main={isHeadquarters ? <Prices product={product} /> : <Typography>{product.description}</Typography>}
          side={
            <Section title={t("hub.order.facts")}>
              <Facts
                items={[
                  [name("sku"), product.sku],
                  [name("brand_id"), product.brands?.name],
                  [name("category_id"), product.categories?.name],
                  [name("base_price"), money(product.price)],
                  [name("retail_price"), money(product.retail_price)],
                  [name("display_stock"), number(product.display_stock)],
                  [name("last_sync_at"), <>{moment(product.stock_synced_at)} {product.stock_stale ? <Flag label={t("hub.product.stale")} /> : null}</>],
                  [name("description"), product.description],
                ]}
              />
            </Section>
          }
        />
      )}
    </ShowPage>
  );
}

/** The list price applies where a tier has none; also of a product that is withdrawn. */
function Prices({ product }: { product: Row }) {
  const { data, error, refetch } = useGetOne<Row & { id: string }>("product_master", { id: product.id });
  if (error) return <FailureNote error={error} retry={() => void refetch()} />;
  return data ? <PriceTimeline product={data} /> : null;
}
