-- Invariants of records: the audit trail and the history of the configuration are complete.
-- consistency.sql explains how they are run.

create function app.check_since() returns timestamptz language sql stable
as $$
  select coalesce(
    nullif(current_setting('hub.check_since', true), '')::timestamptz, now() - interval '2 days')
$$;
comment on function app.check_since() is
  'Time from which on the audit trail is checked: the setting hub.check_since, which '
  '"hub check --since" sets, or else two days ago';

create function app.uuid_v7_floor(p_at timestamptz) returns uuid language sql immutable
as $$
  select (
    lpad(to_hex(floor(extract(epoch from p_at) * 1000)::bigint), 12, '0') || repeat('0', 20)
  )::uuid
$$;
comment on function app.uuid_v7_floor(timestamptz) is
  'Lowest UUIDv7 of this time: with it, a primary key serves as an index by time of creation';

create view app.consistency_configs as
select
  c.id as subject_id,
  -- without the value that the history has: admins read this, and only superadmins the history
  format('%s is %s in version %s; its history has %s, the last %s',
    c.config_key, c.config_value, c.version, coalesce(h.versions, 0),
    case when h.new_value = c.config_value then 'equal' else 'different' end) as details
from app.system_configs as c
left join lateral (
  select
    (select count(*) from app.system_config_history as a where a.config_key = c.config_key)
      as versions,
    l.version, l.new_value
  from app.system_config_history as l
  where l.config_key = c.config_key order by l.version desc limit 1
) as h on true
where (
  h.version = c.version and h.versions = c.version and h.new_value = c.config_value
) is not true
union all
select
  null::uuid as subject_id,
  format('order_rules of tier %s: %s; the configs say %s', c.tier, r.snapshot, c.snapshot)
    as details
from app.current_order_rules() as c
left join app.order_rules as r on r.tier = c.tier
where r is distinct from c;
comment on view app.consistency_configs is
$$Each configuration equals its newest history row, misses no version, and order_rules follow
Scan: both small tables, the history by its key.$$;

create view app.audited_rows as
select 'partners' as target_type, r.id from app.partners as r
union all
select 'agents' as target_type, r.id from app.agents as r
union all
select 'sub_distributors' as target_type, r.id from app.sub_distributors as r
union all
select 'orders' as target_type, r.id from app.orders as r
union all
select 'order_items' as target_type, r.id from app.order_items as r
union all
select 'invoices' as target_type, r.id from app.invoices as r
union all
select 'invoice_payments' as target_type, r.id from app.invoice_payments as r
union all
select 'credit_notes' as target_type, r.id from app.credit_notes as r
union all
select 'credit_note_items' as target_type, r.id from app.credit_note_items as r
union all
select 'invoice_credits' as target_type, r.id from app.invoice_credits as r
union all
select 'point_transactions' as target_type, r.id from app.point_transactions as r
union all
select 'redemptions' as target_type, r.id from app.redemptions as r
union all
select 'tier_prices' as target_type, r.id from app.tier_prices as r
union all
select 'system_configs' as target_type, r.id from app.system_configs as r
union all
select 'agent_sessions' as target_type, r.id from app.agent_sessions as r
union all
select 'regions' as target_type, r.id from app.regions as r
union all
select 'brands' as target_type, r.id from app.brands as r
union all
select 'categories' as target_type, r.id from app.categories as r
union all
select 'products' as target_type, r.id from app.products as r
union all
select 'redemption_catalog' as target_type, r.id from app.redemption_catalog as r;
comment on view app.audited_rows is 'Every row whose changes are audited';

-- trail:    changes in audit_logs, and those still in the buffer, one row for each changed row
-- recent:   audited rows that were created since app.check_since()
-- current:  present amounts and statuses of the rows that were updated since then
-- recorded: the same values, as the trail last recorded them
create view app.consistency_audit_trail as
with trail as materialized (
  select l.target_type, l.target_id, l.action, l.new_value, l.created_at
  from app.audit_logs as l where l.created_at >= (select app.check_since())
  union all
  select
    r.target_type, (r.row ->> 'id')::uuid as target_id, b.action,
    case when b.action <> 'DELETE' then r.row end as new_value, b.created_at
  from app.audit_buffer as b
  cross join lateral (
    select b.target_type, c.row
    from jsonb_array_elements(coalesce(b.new_rows, b.old_rows)::jsonb) as c (row)
    union all
    select 'orders' as target_type, to_jsonb(o) as row from unnest(b.order_rows) as o
    union all
    select b.target_type, to_jsonb(l) as row from unnest(b.line_rows) as l
  ) as r
  where b.created_at >= (select app.check_since())
),

recent as materialized (
  select r.target_type, r.id
  from app.audited_rows as r
  where r.id >= (select app.uuid_v7_floor(app.check_since()))
),

current as (
  select
    'orders' as target_type, o.id,
    jsonb_build_object('status', o.status, 'subtotal', o.subtotal,
      'discount_amount', o.discount_amount, 'point_discount', o.point_discount,
      'grand_total', o.grand_total, 'points_earned', o.points_earned,
      'points_used', o.points_used, 'is_over_limit', o.is_over_limit) as row
  from app.orders as o where o.updated_at >= (select app.check_since())
  union all
  select
    'invoices' as target_type, i.id,
    jsonb_build_object('status', i.status, 'amount', i.amount, 'amount_paid', i.amount_paid,
      'amount_credited', i.amount_credited, 'amount_written_off', i.amount_written_off) as row
  from app.invoices as i where i.updated_at >= (select app.check_since())
  union all
  select
    'partners' as target_type, p.id,
    jsonb_build_object('tier', p.tier, 'credit_limit', p.credit_limit) as row
  from app.partners as p where p.updated_at >= (select app.check_since())
),

recorded as (
  select
    t.target_type, t.target_id,
    jsonb_object_agg(e.key, e.value order by t.created_at) filter (where e.key is not null) as row
  from trail as t
  left join lateral jsonb_each(t.new_value) as e on e.key in (
    'status', 'subtotal', 'discount_amount', 'point_discount', 'grand_total', 'points_earned',
    'points_used', 'is_over_limit', 'amount', 'amount_paid', 'amount_credited',
    'amount_written_off', 'tier', 'credit_limit'
  )
  where t.target_type in ('orders', 'invoices', 'partners')
  group by t.target_type, t.target_id
)

select r.id as subject_id, format('%s: the INSERT is not in the trail', r.target_type) as details
from recent as r
where not exists (
  select from trail as t
  where t.target_type = r.target_type and t.target_id = r.id and t.action = 'INSERT'
)
union all
select
  t.target_id as subject_id,
  format('%s: the row is gone, and its DELETE is not in the trail', t.target_type) as details
from trail as t
where t.action = 'INSERT' and t.target_id >= (select app.uuid_v7_floor(app.check_since()))
  and not exists (
    select from recent as r where r.target_type = t.target_type and r.id = t.target_id
  )
  and not exists (
    select from trail as d
    where d.target_type = t.target_type and d.target_id = t.target_id and d.action = 'DELETE'
  )
union all
select
  c.id as subject_id,
  format('%s: the row has %s, the trail %s', c.target_type, c.row,
    coalesce(n.row::text, 'nothing')) as details
from current as c
left join recorded as n on n.target_type = c.target_type and n.target_id = c.id
where n.target_id is null or not c.row @> coalesce(n.row, '{}');
comment on view app.consistency_audit_trail is
$$Every change of an audited table since app.check_since() is in the trail, with its last values
Scan: rows created since then by their UUIDv7 primary keys, the trail by idx_audit_created,
partitions of earlier months not at all; orders and invoices whole for updated_at.$$;
