-- Typed, versioned configuration. Rules read it at run time through app.config_numeric(),
-- app.config_int() and app.config_text().

create function app.config_definitions()
returns table (
  config_key text, value_type text, default_value jsonb, minimum numeric, maximum numeric,
  allowed text[], description text
)
language sql immutable
as $$
  values
    ('loyalty.multiplier.silver', 'DECIMAL', '1.00'::jsonb, 0, 100, null::text[],
      'Point multiplier of tier SILVER'),
    ('loyalty.multiplier.gold', 'DECIMAL', '1.20', 0, 100, null, 'Point multiplier of tier GOLD'),
    ('loyalty.multiplier.platinum', 'DECIMAL', '1.50', 0, 100, null,
      'Point multiplier of tier PLATINUM'),
    ('loyalty.expiration_policy', 'STRING', '"NEVER"', null, null, '{NEVER}',
      'When points expire; NEVER: they do not'),
    ('loyalty.rupiah_per_point', 'DECIMAL', '10000', 1, 1000000000, null,
      'IDR of an order that promise one point, before the multiplier'),
    ('loyalty.point_value_rupiah', 'DECIMAL', '100', 0.01, 1000000, null,
      'IDR that one redeemed point pays'),
    ('order.minimum_threshold', 'DECIMAL', '500000', 0, 1000000000000, null,
      'IDR from which an order earns points'),
    ('order.max_lines', 'INT', '500', 1, 1000, null,
      'Different products that one order may contain'),
    ('credit.over_limit_policy', 'STRING', '"FLAG"', null, null, '{FLAG,BLOCK}',
      'FLAG: an order past the limit waits for a release; BLOCK: it is refused'),
    ('credit.max_overdue_days', 'INT', '0', 0, 3650, null,
      'Days after which an overdue invoice counts as exceeding the credit limit; 0: never'),
    ('invoice.write_off_max', 'DECIMAL', '10000', 0, 1000000000, null,
      'IDR that may be written off on one invoice'),
    ('invoice.due_days.silver', 'INT', '30', 0, 365, null, 'Days a SILVER partner has to pay'),
    ('invoice.due_days.gold', 'INT', '45', 0, 365, null, 'Days a GOLD partner has to pay'),
    ('invoice.due_days.platinum', 'INT', '60', 0, 365, null, 'Days a PLATINUM partner has to pay'),
    ('invoice.due_soon_days', 'INT', '3', 0, 365, null,
      'Days before the due date on which the partner is reminded; 0: they are not'),
    ('invoice.reminder_days', 'INT_LIST', '[1, 7, 14]', 1, 365, null,
      'Days after the due date on which the partner is reminded, the region''s agents from the '
      'second on, as a list of up to 20 ascending whole numbers; []: they are not'),
    ('stock.sync_interval_minutes', 'INT', '15', 1, 1440, null,
      'Minutes between two stock syncs with the ERP'),
    ('erp.kind', 'STRING', '"none"', null, null, '{none,tryton,csv}',
      'The ERP that maintains products and stock; none: headquarters does. The ERP adapter starts '
      'only with the same HUB_ERP_KIND'),
    ('sla.reminder_hours', 'INT', '18', 1, 720, null,
      'Hours without a response until the sub-distributor is reminded'),
    ('sla.manager_hours', 'INT', '21', 1, 720, null,
      'Hours without a response until the region''s agents are notified'),
    ('sla.escalation_hours', 'INT', '24', 1, 720, null,
      'Hours without a response until headquarters is notified'),
    ('sla.approval_hours', 'INT', '4', 1, 720, null,
      'Hours that an order may await headquarters until admins are reminded'),
    ('outbox.max_attempts', 'INT', '8', 1, 100, null,
      'Sendings without any report until a message is given up; also failed attempts until a token '
      'that someone waits for goes out by e-mail'),
    ('outbox.expiry_hours', 'INT', '72', 1, 720, null,
      'Hours for which sending a message is tried, unless the message itself expires earlier'),
    ('inbox.stranger_texts_per_hour', 'INT', '5', 0, 1000, null,
      'WhatsApp texts an hour that are forwarded of a sender whom the hub does not know'),
    ('outbox.unknown_wait_seconds', 'INT', '120', 1, 86400, null,
      'Seconds to wait for the provider''s report on a message that may have been sent, '
      'before it is sent again'),
    ('sla.calendar', 'CALENDAR', '"ALWAYS"', null, null, null,
      'When the clock runs: "ALWAYS", or {"days": [1..7], "from": "08:00", "until": "17:00", '
      '"holidays": ["2026-12-25"]} in the zone of the region'),
    ('auth.access_token_minutes', 'INT', '15', 1, 1440, null,
      'Minutes that an access token is valid'),
    ('auth.session_days', 'INT', '30', 1, 365, null,
      'Days until a session needs the password again'),
    ('auth.shadow_session_minutes', 'INT', '60', 1, 480, null,
      'Minutes that a shadow session is valid'),
    ('auth.link_minutes', 'INT', '15', 1, 1440, null, 'Minutes that a sign-in link is valid'),
    ('auth.invitation_hours', 'INT', '168', 1, 720, null,
      'Hours that the code of an invitation is valid'),
    ('auth.reset_minutes', 'INT', '60', 5, 1440, null,
      'Minutes that the code for a new password is valid'),
    ('auth.max_failures', 'INT', '5', 1, 100, null,
      'Failed sign-ins of one account, or of one of its known devices, until it has to wait'),
    ('auth.max_failures_per_address', 'INT', '50', 1, 10000, null,
      'Failed sign-ins of one address until it has to wait'),
    ('auth.failure_window_minutes', 'INT', '15', 1, 1440, null,
      'Minutes during which failures count; also the longest wait'),
    ('auth.trusted_proxies', 'NETWORK_LIST', '[]', null, null, null,
      'Addresses and networks of the proxies before the gateway, as a list of up to 20 texts: a '
      'caller''s address is the last one in X-Forwarded-For that is none of them; []: the header '
      'is ignored'),
    ('cache.stock_seconds', 'INT', '5', 1, 3600, null,
      'Seconds that the cache may serve a reading of the stock'),
    ('retention.message_days', 'INT', '400', 30, 36500, null,
      'Days that messages are kept after they were settled'),
    ('retention.webhook_days', 'INT', '90', 7, 36500, null,
      'Days that the bodies of processed webhooks are kept; their ids stay'),
    ('retention.session_days', 'INT', '90', 1, 36500, null,
      'Days that sign-in sessions are kept after their end'),
    ('retention.audit_years', 'INT', '10', 1, 100, null,
      'Years that the months of the audit trail are kept')
$$;
comment on function app.config_definitions() is
  'Every config key with its type, default, bounds and description';

-- In PL/pgSQL, because it keeps their plans: SQL functions are planned at every call.
create function app.config_numeric(p_key text) returns numeric language plpgsql stable
as $$
begin
  return (
    select (c.config_value #>> '{}')::numeric
    from app.system_configs as c where c.config_key = p_key
  );
end $$;
comment on function app.config_numeric(text) is 'Value of a DECIMAL or INT config';

create function app.config_int(p_key text) returns int language plpgsql stable
as $$
begin
  return (
    select (c.config_value #>> '{}')::numeric::int
    from app.system_configs as c where c.config_key = p_key
  );
end $$;
comment on function app.config_int(text) is 'Value of an INT config';

create function app.config_int_list(p_key text) returns int[] language plpgsql stable
as $$
begin
  return (
    select array(
      select d.value::numeric::int
      from jsonb_array_elements_text(c.config_value) with ordinality as d (value, position)
      order by d.position
    )
    from app.system_configs as c where c.config_key = p_key
  );
end $$;
comment on function app.config_int_list(text) is 'Value of an INT_LIST config, ascending';

create function app.config_text(p_key text) returns text language plpgsql stable
as $$
begin
  return (select c.config_value #>> '{}' from app.system_configs as c where c.config_key = p_key);
end $$;
comment on function app.config_text(text) is 'Value of a STRING config';

create function app.is_date(p_text text) returns boolean language sql immutable
as $$
  select case
    when p_text ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' and p_text >= '0001'
      then substr(p_text, 9)::int <= extract(day from
        make_date(left(p_text, 4)::int, substr(p_text, 6, 2)::int, 1)
        + interval '1 month' - interval '1 day')
    else false
  end
$$;
comment on function app.is_date(text) is 'Whether the text, YYYY-MM-DD, is a date that exists';

create function app.is_calendar(p_value jsonb) returns boolean language sql immutable
as $$
  select p_value = '"ALWAYS"' or case
    when jsonb_typeof(p_value) <> 'object' then false
    when jsonb_typeof(p_value -> 'days') is distinct from 'array'
      or jsonb_typeof(p_value -> 'from') is distinct from 'string'
      or jsonb_typeof(p_value -> 'until') is distinct from 'string'
      or coalesce(jsonb_typeof(p_value -> 'holidays'), 'array') <> 'array' then false
    else p_value ->> 'from' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
      and p_value ->> 'until' ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
      and p_value ->> 'from' < p_value ->> 'until'
      and jsonb_array_length(p_value -> 'days') between 1 and 7
      and not exists (
        select from jsonb_array_elements(p_value -> 'days') as d
        where d::text not in ('1', '2', '3', '4', '5', '6', '7')
      )
      and coalesce(jsonb_array_length(p_value -> 'holidays'), 0) <= 1000
      and not exists (
        select from jsonb_array_elements_text(coalesce(p_value -> 'holidays', '[]')) as h
        where app.is_date(h) is not true
      )
  end
$$;
comment on function app.is_calendar(jsonb) is
  'True for "ALWAYS", and for {"days": [1 = Monday .. 7], "from": "HH:MM", "until": "HH:MM", '
  '"holidays": ["YYYY-MM-DD", ...]} with working time in it';

create function app.is_int_list(p_value jsonb, p_minimum numeric, p_maximum numeric)
returns boolean language sql immutable
as $$
  select case
    when jsonb_typeof(p_value) is distinct from 'array' then false
    when jsonb_array_length(p_value) > 20 then false
    when exists (
      select from jsonb_array_elements(p_value) as d where jsonb_typeof(d) <> 'number'
    ) then false
    else not exists (
      select from (
        select d.value::numeric as days, lag(d.value::numeric) over (order by d.position) as before
        from jsonb_array_elements_text(p_value) with ordinality as d (value, position)
      ) as n
      where n.days not between p_minimum and p_maximum or n.days <> trunc(n.days)
        or n.days <= n.before
    )
  end
$$;
comment on function app.is_int_list(jsonb, numeric, numeric) is
  'True for an array of at most 20 ascending whole numbers within the bounds; it may be empty';

create function app.check_config(p_key text, p_value jsonb)
returns void language plpgsql stable
as $$
declare
  v_definition record;
  v_number numeric;
begin
  select * into v_definition from app.config_definitions() as d where d.config_key = p_key;
  if not found then
    perform app.fail('UNKNOWN_CONFIG', format('%s', left(p_key, 100)));
  end if;
  if v_definition.value_type = 'STRING' then
    if jsonb_typeof(p_value) is distinct from 'string'
      or p_value #>> '{}' <> all (v_definition.allowed)
    then
      perform app.fail('INVALID_CONFIG_VALUE',
        format('%s takes one of %s', p_key, array_to_string(v_definition.allowed, ', ')));
    end if;
    return;
  end if;
  if v_definition.value_type = 'CALENDAR' then
    if not app.is_calendar(p_value) then
      perform app.fail('INVALID_CONFIG_VALUE', p_key || ' takes ' || v_definition.description);
    end if;
    return;
  end if;
  if v_definition.value_type = 'INT_LIST' then
    if not app.is_int_list(p_value, v_definition.minimum, v_definition.maximum) then
      perform app.fail('INVALID_CONFIG_VALUE',
        format('%s takes a list of at most 20 ascending whole numbers from %s to %s', p_key,
          v_definition.minimum, v_definition.maximum));
    end if;
    return;
  end if;
  if v_definition.value_type = 'NETWORK_LIST' then
    if not auth.is_network_list(p_value) then
      perform app.fail('INVALID_CONFIG_VALUE',
        p_key || ' takes a list of at most 20 addresses or networks, such as "10.0.0.0/8"');
    end if;
    return;
  end if;
  if jsonb_typeof(p_value) is distinct from 'number' then
    perform app.fail('INVALID_CONFIG_VALUE', format('%s takes a number', p_key));
  end if;
  v_number := (p_value #>> '{}')::numeric;
  if v_number not between v_definition.minimum and v_definition.maximum
    or (v_definition.value_type = 'INT' and v_number <> trunc(v_number))
  then
    perform app.fail('INVALID_CONFIG_VALUE', format('%s takes a %s from %s to %s', p_key,
      case v_definition.value_type when 'INT' then 'whole number' else 'number' end,
      v_definition.minimum, v_definition.maximum));
  end if;
end $$;
comment on function app.check_config(text, jsonb) is
  'Raises UNKNOWN_CONFIG or INVALID_CONFIG_VALUE unless the key takes the value';

create function app.tg_system_configs__validate() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' then
    perform app.fail('APPEND_ONLY', 'A config cannot be deleted, because rules read it',
      'Change its value instead');
  end if;
  perform app.check_config(new.config_key, new.config_value);
  -- 5.0 is stored as 5.
  if jsonb_typeof(new.config_value) = 'number' then
    new.config_value := to_jsonb(trim_scale((new.config_value #>> '{}')::numeric));
  elsif jsonb_typeof(new.config_value) = 'array' then
    new.config_value := (
      select coalesce(jsonb_agg(case jsonb_typeof(new.config_value -> 0)
        when 'number' then to_jsonb(trim_scale(d.value::numeric))
        else to_jsonb(abbrev(d.value::inet))
      end order by d.position), '[]')
      from jsonb_array_elements_text(new.config_value) with ordinality as d (value, position)
    );
  end if;
  if tg_op = 'UPDATE' then
    if new.config_key <> old.config_key then
      perform app.fail('APPEND_ONLY', 'config_key', 'Change the value only');
    end if;
    if new.config_value = old.config_value then
      new.version := old.version;
      new.updated_at := old.updated_at;
      new.updated_by := old.updated_by;
      return new;
    end if;
    new.version := old.version + 1;
  end if;
  new.updated_at := now();
  new.updated_by := auth.current_agent_id();
  return new;
end $$;
create trigger _100_validate before insert or update or delete on app.system_configs
for each row execute function app.tg_system_configs__validate();

-- Otherwise an order could be escalated before anyone was reminded.
create function app.tg_system_configs__sla_hours_ascend() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  -- One change at a time: two concurrent ones that do not see each other could both be valid, but
  -- not their result.
  perform pg_advisory_xact_lock(hashtext('app.sla_hours'));
  if app.config_numeric('sla.reminder_hours') > app.config_numeric('sla.manager_hours')
    or app.config_numeric('sla.manager_hours') > app.config_numeric('sla.escalation_hours')
    or app.config_numeric('sla.approval_hours') > app.config_numeric('sla.escalation_hours')
  then
    perform app.fail('INVALID_CONFIG_VALUE',
      'sla.reminder_hours <= sla.manager_hours <= sla.escalation_hours, and'
      ' sla.approval_hours <= sla.escalation_hours',
      'Change the other hours first');
  end if;
  return null;
end $$;
create trigger _200_sla_hours_ascend after insert or update on app.system_configs
for each row when (new.config_key like 'sla.%\_hours')
execute function app.tg_system_configs__sla_hours_ascend();

create function app.tg_system_configs__history() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into app.system_config_history (config_key, version, old_value, new_value, changed_by)
  values (
    new.config_key, new.version, case when tg_op = 'UPDATE' then old.config_value end,
    new.config_value, new.updated_by
  );
  return null;
end $$;
create trigger _300_history_insert after insert on app.system_configs
for each row execute function app.tg_system_configs__history();
create trigger _300_history_update after update on app.system_configs
for each row when (old.version <> new.version) execute function app.tg_system_configs__history();

create function app.config_snapshot(p_keys text[])
returns jsonb language plpgsql stable
as $$
begin
  return (
    select jsonb_object_agg(
      c.config_key, jsonb_build_object('value', c.config_value, 'version', c.version))
    from app.system_configs as c where c.config_key = any (p_keys)
  );
end $$;
comment on function app.config_snapshot(text[]) is
  'The current values and versions of these configs, as orders pin them in rules_applied: {key: '
  '{"value": ..., "version": n}}';

create function app.current_order_rules() returns setof app.order_rules language sql stable
as $$
  select
    t.tier,
    app.config_numeric('loyalty.multiplier.' || lower(t.tier::text)),
    app.config_numeric('loyalty.rupiah_per_point'),
    app.config_numeric('loyalty.point_value_rupiah'),
    app.config_numeric('order.minimum_threshold'),
    app.config_text('credit.over_limit_policy'),
    app.config_int('credit.max_overdue_days'),
    app.config_int('order.max_lines'),
    app.config_int('invoice.due_days.' || lower(t.tier::text)),
    app.config_snapshot(array[
      'loyalty.multiplier.' || lower(t.tier::text), 'loyalty.rupiah_per_point',
      'loyalty.point_value_rupiah', 'order.minimum_threshold', 'credit.over_limit_policy',
      'credit.max_overdue_days', 'invoice.due_days.' || lower(t.tier::text)
    ])
  from unnest(enum_range(null::app.tier_enum)) as t (tier)
$$;
comment on function app.current_order_rules() is
  'The rows of app.order_rules as the present configs give them';

-- The lock comes first: two concurrent changes of different configs would each derive the rules
-- without the other's.
create function app.derive_order_rules() returns void language plpgsql volatile
as $$
begin
  lock table app.order_rules in share row exclusive mode;
  insert into app.order_rules as r
  select * from app.current_order_rules()
  on conflict (tier) do update set
    point_multiplier = excluded.point_multiplier, rupiah_per_point = excluded.rupiah_per_point,
    point_value_rupiah = excluded.point_value_rupiah,
    minimum_threshold = excluded.minimum_threshold,
    over_limit_policy = excluded.over_limit_policy, max_overdue_days = excluded.max_overdue_days,
    max_lines = excluded.max_lines, due_days = excluded.due_days, snapshot = excluded.snapshot
  where r is distinct from excluded;
end $$;
comment on function app.derive_order_rules() is
  'Writes app.order_rules from the present configs; changes nothing when they are equal';

insert into app.system_configs (config_key, config_value, description)
select d.config_key, d.default_value, d.description
from app.config_definitions() as d
where not exists (select from app.system_configs as c where c.config_key = d.config_key)
order by d.config_key collate "C" desc;
select app.derive_order_rules();

create function app.tg_system_configs__derive_order_rules() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform app.derive_order_rules();
  return null;
end $$;
create trigger _400_derive_order_rules after insert or update on app.system_configs
for each statement execute function app.tg_system_configs__derive_order_rules();

create trigger _100_append_only before update or delete on app.system_config_history
for each row execute function app.tg_append_only();
create trigger _200_no_truncate before truncate on app.system_config_history
for each statement execute function app.tg_append_only();
