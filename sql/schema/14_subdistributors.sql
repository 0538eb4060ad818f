-- Phase 1, step 3 (M-7.1-3): sub-distributors, who serve the orders of a region.

create table app.sub_distributors (
  id uuid primary key default app.uuid_v7(),
  region_id uuid not null
  constraint sub_distributors_region_id_fkey references app.regions (id),
  business_name app.label not null,
  whatsapp_number varchar(20) not null,
  email varchar(255),
  contact_person varchar(255),
  status app.subdist_status_enum not null default 'ACTIVE',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index idx_subdist_region on app.sub_distributors (region_id);
create index sub_distributors_whatsapp_number_idx on app.sub_distributors (whatsapp_number);
comment on table app.sub_distributors is
  'Sub-distributors, who deliver in a region and are notified of orders over WhatsApp. PII';
comment on column app.sub_distributors.whatsapp_number is
  'Recipient of orders and sign-in links; E.164 with +, normalised on writing [pii: contact]';
comment on column app.sub_distributors.status is
  'SUSPENDED sub-distributors get no orders and cannot sign in [pii: none]';
comment on column app.sub_distributors.id is '[pii: none]';
comment on column app.sub_distributors.region_id is '[pii: none]';
comment on column app.sub_distributors.business_name is '[pii: name]';
comment on column app.sub_distributors.email is '[pii: contact]';
comment on column app.sub_distributors.contact_person is '[pii: name]';
comment on column app.sub_distributors.created_at is '[pii: none]';
comment on column app.sub_distributors.updated_at is '[pii: none]';
