-- Phase 1, step 4 (M-7.1-4): partners, the salons that order.

create domain app.email as varchar(255)
constraint email_check check (value = lower(btrim(value)) and value like '_%@_%');
comment on domain app.email is 'E-mail address in lower case, without spaces around it';

-- Every order updates credit_used: room in the page keeps these updates heap-only, and few rows in
-- a page keep what each update prunes there short.
create table app.partners (
  id uuid primary key default app.uuid_v7(),
  email app.email not null constraint idx_partners_email unique,
  phone varchar(20) constraint partners_phone_key unique,
  password_hash varchar(255) not null default '!',
  business_name app.label not null,
  tier app.tier_enum not null default 'SILVER',
  salon_type app.salon_type_enum,
  chair_count app.whole_number,
  specialization varchar(255),
  region_id uuid constraint partners_region_id_fkey references app.regions (id),
  credit_limit app.amount not null default 0,
  credit_used app.amount not null default 0,
  point_balance int not null default 0,
  is_active boolean not null default true,
  address varchar(500),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
) with (fillfactor = 20);
create index idx_partners_tier on app.partners (tier);
create index idx_partners_region on app.partners (region_id);
create index partners_business_name_idx on app.partners (business_name);
create index idx_partners_active on app.partners (tier) where is_active = true;
comment on table app.partners is
  'Salons and barbers that order on credit. PII; deleted softly by deleted_at';
comment on column app.partners.email is
  'Login, in lower case; never reused, not even after deletion [pii: contact]';
comment on column app.partners.phone is
  'WhatsApp number; E.164 with +, normalised on writing [pii: contact]';
comment on column app.partners.password_hash is
  'bcrypt hash, "!" until the partner chooses a password; no caller''s role can read it '
  '[pii: secret]';
comment on column app.partners.chair_count is
  'Chairs in the salon, a measure of its size [pii: none]';
comment on column app.partners.region_id is
  'Region that decides the routing of orders; null: every order goes to headquarters [pii: none]';
comment on column app.partners.credit_limit is
  'IDR that may be owed and on order at the same time; 0 means no credit [pii: none]';
comment on column app.partners.credit_used is
  'IDR owed and on order: orders SUBMITTED or PROCESSING, and the unpaid part of live invoices. '
  'Kept by the transitions of orders and invoices [pii: none]';
comment on column app.partners.point_balance is
  'Sum of point_transactions.points, kept by trg_point_balance; below 0 only after a reversal of '
  'points that were spent already [pii: none]';
comment on column app.partners.address is 'Delivery address [pii: address]';
comment on column app.partners.deleted_at is
  'When the partner was deleted softly; hidden from every caller since then [pii: none]';
comment on column app.partners.id is '[pii: none]';
comment on column app.partners.business_name is '[pii: name]';
comment on column app.partners.tier is '[pii: none]';
comment on column app.partners.salon_type is '[pii: none]';
comment on column app.partners.specialization is '[pii: text]';
comment on column app.partners.is_active is '[pii: none]';
comment on column app.partners.created_at is '[pii: none]';
comment on column app.partners.updated_at is '[pii: none]';

create type app.partner_account as (
  id uuid,
  tier app.tier_enum,
  region_id uuid,
  credit_limit numeric,
  credit_used numeric,
  point_balance int,
  acting_agent_id uuid
);
comment on type app.partner_account is
  'What the rules of ordering read of the calling partner (credit in IDR), and the agent who acts '
  'for them in shadow mode';
