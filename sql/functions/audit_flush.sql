-- Moves buffered changes into the audit trail, with their actor and with personal data masked.

create function app.uuid_or_null(p_text text) returns uuid language sql immutable
as $$
  select case
    when p_text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then p_text::uuid
  end
$$;
comment on function app.uuid_or_null(text) is 'Returns the text as a UUID, null when it is not one';

-- The buffer holds the claims as received; the actor is derived when the row is moved.
create function app.actor_of(p_claims json, p_role text)
returns table (actor_id uuid, actor_type app.actor_type_enum, on_behalf_of uuid)
language sql immutable
as $$
  select
    coalesce(c.act, c.sub),
    case
      when c.act is not null or p_role in ('agent', 'admin', 'superadmin') then 'AGENT'
      when p_role = 'partner' then 'PARTNER'
      else 'SYSTEM'
    end::app.actor_type_enum,
    case when c.act is not null then c.sub end
  from (
    select
      app.uuid_or_null(p_claims ->> 'sub') as sub,
      app.uuid_or_null(p_claims #>> '{act,sub}') as act
  ) as c
$$;
comment on function app.actor_of(json, text) is
  'The actor by these claims and this role; in shadow mode the agent, on behalf of the partner';

create function app.changed_columns(p_row jsonb, p_other jsonb) returns jsonb language sql immutable
as $$
  select case when p_other is null then p_row else (
    select jsonb_object_agg(k.key, k.value)
    from jsonb_each(p_row) as k
    where k.value is distinct from p_other -> k.key
      and k.key not in ('updated_at', 'credit_used', 'point_balance')
  ) end
$$;
comment on function app.changed_columns(jsonb, jsonb) is
  'The columns of a row that differ from the other row, without updated_at and the derived '
  'credit_used and point_balance, null if there are none; the whole row if there is no other';

create function app.flush_audit_buffer(p_limit int default 10000)
returns int language plpgsql volatile
as $$
declare
  v_count int;
begin
  -- An erasure waits until no change is on its way from the buffer to the trail.
  perform pg_advisory_xact_lock_shared(hashtext('app.audit_buffer'));
  with taken as (
    delete from app.audit_buffer as b
    -- An array, so that the rows are chosen once: a plan that repeats the sub-query would choose
    -- other rows each time.
    where b.id = any (array(
      select u.id from app.audit_buffer as u order by u.id limit p_limit for update skip locked
    ))
    returning *
  ),
  rows as (
    -- Both arrays hold the rows in the order in which the statement touched them; the shorter one
    -- is filled up with nulls.
    select t.id, t.target_type, c.old_row, c.new_row
    from taken as t
    cross join lateral rows from (
      jsonb_array_elements(t.old_rows::jsonb), jsonb_array_elements(t.new_rows::jsonb)
    ) as c (old_row, new_row)
    union all
    select t.id, 'orders' as target_type, null as old_row, to_jsonb(o) as new_row
    from taken as t cross join lateral unnest(t.order_rows) as o
    union all
    select t.id, t.target_type, null as old_row, to_jsonb(l) as new_row
    from taken as t cross join lateral unnest(t.line_rows) as l
  )
  insert into app.audit_logs (
    actor_id, actor_type, target_id, target_type, action,
    old_value, new_value,
    ip_address, created_at, actor_role, on_behalf_of, request_id
  )
  select
    a.actor_id, a.actor_type, (coalesce(r.new_row, r.old_row) ->> 'id')::uuid, r.target_type,
    t.action,
    app.mask_row(r.target_type, app.changed_columns(r.old_row, r.new_row)),
    app.mask_row(r.target_type, app.changed_columns(r.new_row, r.old_row)),
    auth.forwarded_address(t.forwarded_for, x.proxies), t.created_at, t.actor_role, a.on_behalf_of,
    left(t.request_id, 64)
  from taken as t
  cross join (select auth.trusted_proxies() as proxies) as x
  cross join lateral app.actor_of(t.claims, t.actor_role) as a
  inner join rows as r on r.id = t.id
  order by t.created_at, t.id;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
comment on function app.flush_audit_buffer(int) is
  'Moves up to p_limit buffered statements to audit_logs, masked; returns the rows written. '
  'Concurrent calls share the work';

-- Commits each batch, so it can neither be SECURITY DEFINER nor set a search_path; only the owner
-- may execute it. A short batch ends it: changes that arrive meanwhile are left for the next run.
create procedure jobs.flush_audit(p_batch int default 5000, p_seconds int default 50)
language plpgsql
as $$
declare
  v_started_at timestamptz := clock_timestamp();
  v_rows bigint;
  v_total bigint := 0;
begin
  loop
    v_rows := app.flush_audit_buffer(p_batch);
    v_total := v_total + v_rows;
    commit;
    -- Each statement in the buffer has at least one row.
    exit when v_rows < p_batch
      or clock_timestamp() >= v_started_at + make_interval(secs => p_seconds);
  end loop;
  perform jobs.record_run('audit-flush', v_started_at, v_total);
end $$;
comment on procedure jobs.flush_audit(int, int) is
  'Moves buffered changes to audit_logs until the buffer is empty, p_batch statements in a '
  'transaction, or until p_seconds have passed. Runs at the same time share the work';
