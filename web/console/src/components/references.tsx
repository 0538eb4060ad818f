import { AutocompleteInput, type InputProps, ReferenceInput } from "react-admin";

type Props = Pick<InputProps, "source" | "label" | "validate"> & { alwaysOn?: boolean };

/** Choose a partner by a part of their name. */
export function PartnerFilter({ source, label }: Props) {
  return (
    <ReferenceInput source={source} reference="partners" sort={{ field: "business_name", order: "ASC" }}>
      <AutocompleteInput label={label} optionText="business_name" sx={{ minWidth: 240 }} />
    </ReferenceInput>
  );
}

export function SubdistFilter({ source, label }: Props) {
  return (
    <ReferenceInput source={source} reference="sub_distributors" sort={{ field: "business_name", order: "ASC" }}>
      <AutocompleteInput label={label} optionText="business_name" sx={{ minWidth: 240 }} />
    </ReferenceInput>
  );
}

/** Choose a region, brand or category by name; `view` is where they are. */
export function NameInput({ source, label, view, validate }: Props & { view: string }) {
  return (
    <ReferenceInput source={source} reference={view} sort={{ field: "name", order: "ASC" }} perPage={100}>
      <AutocompleteInput label={label} optionText="name" {...(validate ? { validate } : {})} sx={{ minWidth: 240 }} />
    </ReferenceInput>
  );
}
