-- Everything that the hub stores about one person, for a person who asks (UU PDP): what the exports
-- of partners, agents and sub-distributors have in common.

create function app.secret_columns(p_table regclass) returns text[] language sql stable
as $$
  select array(
    select s.attname::text from pg_catalog.pg_attribute as s
    where s.attrelid = p_table and s.attnum > 0
      and col_description(p_table, s.attnum) like '%[pii: secret]%'
  )
$$;
comment on function app.secret_columns(regclass) is
  'Columns that their comments class as [pii: secret]';

create function app.start_export(p_table regclass, p_id uuid, p_name text)
returns jsonb language plpgsql volatile
as $$
declare
  v_type constant text := (select c.relname from pg_catalog.pg_class as c where c.oid = p_table);
  v_account jsonb;
begin
  if auth.caller_role() <> 'superadmin' then
    perform app.fail('NOT_ALLOWED', 'Only superadmins export what is stored about a person');
  end if;
  execute format('select to_jsonb(t) - $2 from %s as t where t.id = $1', p_table)
  into v_account using p_id, app.secret_columns(p_table);
  -- Of an account that is no longer there, the trail and other rows remain.
  if v_account is null and not exists (
    select from app.audit_logs as l where l.target_id = p_id and l.target_type = v_type
  ) then
    perform app.fail('NOT_FOUND', p_name);
  end if;
  -- The trail says who took the data, when.
  insert into app.audit_buffer (
    target_type, action, new_rows, claims, actor_role, forwarded_for
  )
  values (
    v_type, 'EXPORT', json_build_array(json_build_object('id', p_id)),
    auth.claims_text()::json, auth.caller_role(), auth.forwarded_for()
  );
  return jsonb_build_object('exported_at', now(), v_type, v_account);
end $$;
comment on function app.start_export(regclass, uuid, text) is
  'Records an export in the trail and returns the account without secrets, null where it was '
  'deleted. Raises NOT_ALLOWED, NOT_FOUND';

create function app.export_messages(p_id uuid)
returns jsonb language plpgsql stable
as $$
begin
  return coalesce((
    select jsonb_agg(
      to_jsonb(m) - array(select 'variables' where app.carries_token(m.template))
      order by m.created_at)
    from app.messages as m where m.recipient_id = p_id
  ), '[]');
end $$;
comment on function app.export_messages(uuid) is
  'The messages to a person, without the variables of those that carry a token';

create function app.export_sessions(p_id uuid)
returns jsonb language plpgsql stable
as $$
begin
  return coalesce((
    select jsonb_agg(to_jsonb(s) order by s.created_at)
    from auth.sessions as s where s.subject_id = p_id
  ), '[]');
end $$;
comment on function app.export_sessions(uuid) is 'The sign-in sessions of a person';

-- Of a row that names them only the key, and the text where they are its author: the rest is of
-- partners. A new table is in the export at once.
create function app.export_named_rows(
  p_table regclass, p_id uuid, p_is_author boolean, p_whole jsonb
)
returns jsonb language plpgsql stable
as $$
declare
  v_table record;
  v_rows jsonb;
  v_found jsonb := p_whole;
begin
  for v_table in
    select
      c.oid::regclass as id, c.relname as name,
      (
        select string_agg(distinct format('t.%I = $1', a.attname), ' or ')
        from pg_catalog.pg_constraint as f
        join pg_catalog.pg_attribute as a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
        where f.conrelid = c.oid and f.confrelid = p_table
      ) as condition,
      array(
        select a.attname::text from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and (
          exists (
            select from pg_catalog.pg_constraint as k
            where k.conrelid = c.oid and a.attnum = any (k.conkey)
              and (k.contype = 'p' or k.confrelid = p_table)
          )
          or (p_is_author and col_description(c.oid, a.attnum) like '%[pii: text]%')
        )
      ) as columns
    from pg_catalog.pg_class as c
    where c.relnamespace = 'app'::regnamespace and not p_whole ? c.relname and exists (
      select from pg_catalog.pg_constraint as f
      where f.conrelid = c.oid and f.confrelid = p_table
    )
    order by c.relname
  loop
    execute format(
      'select coalesce(jsonb_agg((
         select jsonb_object_agg(k.key, to_jsonb(t) -> k.key) from unnest($2) as k (key)
       )), ''[]'') from %s as t where %s',
      v_table.id, v_table.condition)
    into v_rows using p_id, v_table.columns;
    v_found := v_found || jsonb_build_object(v_table.name, v_rows);
  end loop;
  return v_found;
end $$;
comment on function app.export_named_rows(regclass, uuid, boolean, jsonb) is
  'Adds to an export, by table that it does not contain yet, the rows with a foreign key to an '
  'agent or a sub-distributor: keys, and free text where they wrote the rows';

-- The number may have been a partner's until they gave it up.
create function app.export_staff(
  p_table regclass, p_id uuid, p_name text, p_number_column text, p_is_author boolean
)
returns jsonb language plpgsql volatile
as $$
declare
  v_type constant text := (select c.relname from pg_catalog.pg_class as c where c.oid = p_table);
  v_account jsonb;
  v_number text;
begin
  v_account := app.start_export(p_table, p_id, p_name);
  v_number := v_account -> v_type ->> p_number_column;
  return app.export_named_rows(p_table, p_id, p_is_author, v_account || jsonb_build_object(
    'messages', app.export_messages(p_id),
    'sessions', app.export_sessions(p_id),
    'inbound_messages', (
      select coalesce(jsonb_agg(to_jsonb(b) - 'payload_hash'), '[]')
      from app.inbound_messages as b
      where b.payload::text like '%"' || ltrim(v_number, '+') || '"%'
        and b.received_at >= coalesce((
          select max(f.replaced_at) from app.partner_former_contacts as f where f.phone = v_number
        ), '-infinity')
    ),
    'conversations', (
      select coalesce(jsonb_agg(to_jsonb(v) - 'hour_hashes'), '[]')
      from app.conversations as v where v.number = v_number
    ),
    'agent_sessions', (
      select coalesce(jsonb_agg(to_jsonb(s) order by s.started_at), '[]')
      from app.agent_sessions as s where s.agent_id = p_id
    ),
    'order_events', (
      select coalesce(jsonb_agg(to_jsonb(e) order by e.id), '[]')
      from app.order_events as e where e.actor_id = p_id
    ),
    'sla_escalation_logs', (
      select coalesce(jsonb_agg(to_jsonb(l) order by l.triggered_at), '[]')
      from app.sla_escalation_logs as l where p_id in (l.notified_to, l.acknowledged_by)
    ),
    'system_config_history', (
      select coalesce(jsonb_agg(to_jsonb(h) order by h.id), '[]')
      from app.system_config_history as h where h.changed_by = p_id
    ),
    'audit_logs', (
      select coalesce(jsonb_agg(to_jsonb(l) order by l.created_at), '[]')
      from app.audit_logs as l where l.target_id = p_id
    ),
    -- Of others' rows that they changed, how many and from where: an admin has millions.
    'changes', (
      select coalesce(jsonb_agg(to_jsonb(d) order by d.day), '[]')
      from (
        select
          (l.created_at at time zone 'UTC')::date as day, l.target_type, l.action, l.ip_address,
          count(*) as row_count
        from app.audit_logs as l where l.actor_id = p_id
        group by 1, 2, 3, 4
      ) as d
    )
  ));
end $$;
comment on function app.export_staff(regclass, uuid, text, text, boolean) is
  'Everything that the hub stores about someone who works for the distributor: account, what was '
  'sent to and by their number, sessions, and what they did. Raises NOT_ALLOWED, NOT_FOUND';
