-- Invariants: how they are found and run. Each is a view app.consistency_<name> that returns the
-- rows that violate it; the comment of the view states the invariant and what its query scans.
-- A view is one statement, so it sees one snapshot of a database that is being written to.
--   consistency_amounts.sql   money, stock and points add up
--   consistency_workflow.sql  status histories, routing, escalations, notices, sessions
--   consistency_audit.sql     the audit trail and the history of the configuration are complete
-- "hub check" runs all views; headquarters reads them as api.consistency. The cost of each is in
-- docs/operations/consistency.md.

-- A new view named app.consistency_<name> is listed here, so no registration is needed.
create function app.invariants() returns table (invariant text, statement text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select substr(c.relname, length('consistency_') + 1), obj_description(c.oid, 'pg_class')
  from pg_class as c
  where c.relnamespace = 'app'::regnamespace and c.relkind = 'v' and c.relname like 'consistency\_%'
  order by 1
$$;
comment on function app.invariants() is
  'Names of the invariants, with what each states and what its query scans';

create function app.check_consistency(p_invariant text)
returns table (subject_id uuid, details text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.caller_role() not in ('admin', 'superadmin', 'system')
    or not exists (select from app.invariants() as i where i.invariant = p_invariant)
  then
    return;
  end if;
  return query execute format(
    'select v.subject_id, v.details from app.%I as v', 'consistency_' || p_invariant);
end $$;
comment on function app.check_consistency(text) is
  'Rows that violate this invariant; empty for callers outside headquarters';
