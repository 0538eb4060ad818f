-- Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1).

create type app.tier_enum as enum ('SILVER', 'GOLD', 'PLATINUM');
create type app.salon_type_enum as enum ('BARBER', 'BRIDAL', 'UNISEX', 'OTHER');
create type app.agent_role_enum as enum ('SALESMAN', 'ADMIN', 'SUPERADMIN');
create type app.subdist_status_enum as enum ('ACTIVE', 'SUSPENDED');
create type app.order_status_enum as enum (
  'DRAFT', 'SUBMITTED', 'PROCESSING', 'APPROVED', 'SHIPPED', 'COMPLETED', 'REJECTED', 'CANCELLED'
);
create type app.submission_type_enum as enum ('SELF', 'AGENT_ASSISTED');
create type app.awaiting_enum as enum ('PARTNER', 'SUBDIST', 'HEADQUARTERS', 'NONE');
create type app.invoice_status_enum as enum ('UNPAID', 'PARTIAL', 'PAID', 'CANCELLED');
create type app.point_tx_type_enum as enum ('EARNED', 'REDEEMED', 'EXPIRED', 'ADJUSTED');
create type app.redemption_status_enum as enum ('PENDING', 'SHIPPED', 'DELIVERED', 'CANCELLED');
create type app.actor_type_enum as enum ('PARTNER', 'AGENT', 'SYSTEM');
create type app.notification_channel_enum as enum ('WHATSAPP', 'EMAIL');
create type app.notification_status_enum as enum ('PENDING', 'SENT', 'FAILED');
create type app.escalation_level_enum as enum ('REMINDER', 'MANAGER', 'HQ_INTERVENTION');
create type app.notified_type_enum as enum ('SUBDIST', 'AGENT', 'ADMIN');

comment on type app.tier_enum is
  'Loyalty tier of a partner: decides prices, point multiplier and days to pay';
comment on type app.salon_type_enum is 'Kind of salon';
comment on type app.agent_role_enum is
  'Role of an agent: SALESMAN is database role agent, ADMIN admin, SUPERADMIN superadmin';
comment on type app.subdist_status_enum is
  'Status of a sub-distributor: orders are routed only to ACTIVE ones';
comment on type app.order_status_enum is
  'Status of an order: DRAFT, SUBMITTED, PROCESSING, APPROVED, SHIPPED, COMPLETED; REJECTED and '
  'CANCELLED are possible before SHIPPED';
comment on type app.submission_type_enum is
  'Who submitted: the partner (SELF) or an agent in shadow mode (AGENT_ASSISTED)';
comment on type app.awaiting_enum is
  'Who must act next on an order: the partner, the sub-distributor, headquarters, or no one';
comment on type app.invoice_status_enum is
  'Status of an invoice: follows from its payments; CANCELLED is final';
comment on type app.point_tx_type_enum is
  'Reason of a point transaction; EXPIRED is written by an admin only';
comment on type app.redemption_status_enum is 'Status of a redeemed reward';
comment on type app.actor_type_enum is
  'Kind of actor: a partner, an agent, or the system (jobs, sub-distributors, adapters)';
comment on type app.notification_channel_enum is 'Channel of a notification';
comment on type app.notification_status_enum is 'Delivery status of a notification';
comment on type app.escalation_level_enum is
  'Level of an escalation: REMINDER (18 h), MANAGER (21 h), HQ_INTERVENTION (24 h)';
comment on type app.notified_type_enum is 'Kind of recipient of an escalation';

-- Domains, because every statement that writes to a table parses that table's own checks again: 15
-- checks of app.orders were a twentieth of an order's processor time.
create domain app.amount as numeric(15, 2)
constraint amount_check check (value between 0 and 9999999999999.99);
comment on domain app.amount is 'IDR, not negative, a number (NaN is above every number)';

create domain app.whole_number as int constraint whole_number_check check (value >= 0);
comment on domain app.whole_number is 'A count of units, points or chairs, not negative';

create domain app.label as varchar(255) constraint label_check check (value ~ '[^[:space:]]');
comment on domain app.label is 'Name of a person or thing, at most 255 characters, not blank';

create domain app.url as varchar(500)
constraint url_check check (value ~ '^(https?://|/)[^[:space:]]+$');
comment on domain app.url is
  'Address of a picture: http, https, or a path on the frontend''s own host; never javascript:';

create domain app.notes as text constraint notes_check check (length(value) <= 2000);
comment on domain app.notes is 'Free text of at most 2,000 characters';

-- What each idempotent call of headquarters has returned. Orders and redemptions keep their key
-- themselves.
create table app.idempotency_keys (
  call varchar(50),
  idempotency_key varchar(200),
  request_hash bytea not null,
  result_id uuid not null,
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (call, idempotency_key)
);
comment on table app.idempotency_keys is
  'Keys of calls that book something: the same key and body return the first result; append-only';
comment on column app.idempotency_keys.request_hash is 'SHA-256 of the request body [pii: none]';
comment on column app.idempotency_keys.result_id is 'The row that the call created';
comment on column app.idempotency_keys.call is '[pii: none]';
comment on column app.idempotency_keys.idempotency_key is '[pii: key]';

create function app.violate_check(p_table text, p_constraint text) returns void
language plpgsql volatile
as $$
begin
  raise check_violation using
    message = format('new row for relation "%s" violates check constraint "%s"',
      p_table, p_constraint),
    schema = 'app', table = p_table, constraint = p_constraint;
end $$;
comment on function app.violate_check(text, text) is
  'Raises the error of a violated check of a table, for checks that are parts of one function';

-- RFC 9562, version 7: 48 bits of Unix milliseconds first, so that ids sort by time and indexes
-- grow at their right edge.
do $$
begin
  if current_setting('server_version_num')::int >= 180000 then
    create function app.uuid_v7() returns uuid language sql volatile parallel safe
    as 'select uuidv7()';
  else
    -- PL/pgSQL, because it prepares the thirteen calls of this expression once in a transaction; an
    -- inlined SQL function does so in each statement.
    create function app.uuid_v7() returns uuid language plpgsql volatile parallel safe
    as $body$
      begin
        return encode(
          set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
              placing substring(
                int8send((date_part('epoch', clock_timestamp()) * 1000)::bigint) from 3)
              from 1 for 6),
            52, 1), 53, 1), 'hex')::uuid;
      end
    $body$;
  end if;
end $$;
comment on function app.uuid_v7() is
  'A new UUID version 7 (RFC 9562), ordered by creation time to the millisecond';
