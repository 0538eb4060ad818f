-- Roles of the whole cluster. "hub migrate" runs this file first, from any of its databases, any
-- number of times. It writes only what differs: databases of one cluster share the roles, and two
-- of them may be migrated at the same time.

do $$
declare
  v_role record;
begin
  for v_role in
    select * from (values
      ('hub_owner', 'nologin', 'Owns every object of the Digital Hub; cannot log in'),
      ('authenticator', 'login noinherit',
        'Login of PostgREST: owns nothing and switches to the role of the token'),
      -- pg_cron opens sessions, so this role must be able to log in. It has no password.
      ('hub_scheduler', 'login noinherit',
        'Login of pg_cron''s jobs of the Digital Hub; switches to hub_owner at once'),
      ('anon', 'nologin', 'Caller without a token'),
      ('partner', 'nologin', 'Salon or barber: the token''s sub is app.partners.id'),
      ('agent', 'nologin', 'Sales agent: the token''s sub is app.agents.id'),
      ('admin', 'nologin', 'Headquarters: the token''s sub is app.agents.id'),
      ('superadmin', 'nologin',
        'Headquarters with agents'' roles and configs: the token''s sub is app.agents.id'),
      ('subdist', 'nologin', 'Sub-distributor: the token''s sub is app.sub_distributors.id'),
      ('erp', 'nologin', 'ERP adapter'),
      ('messenger', 'nologin', 'WhatsApp and e-mail adapter'),
      ('monitor', 'nologin', 'Monitoring: reads figures of the whole hub, and no row'),
      ('cache', 'login noinherit',
        'Login of the cache: executes its four functions, reads no table')
    ) as wanted (name, options, comment)
  loop
    if to_regrole(v_role.name) is null then
      execute format('create role %I %s', v_role.name, v_role.options);
    end if;
    if shobj_description(to_regrole(v_role.name), 'pg_authid') is distinct from v_role.comment then
      execute format('comment on role %I is %L', v_role.name, v_role.comment);
    end if;
  end loop;
end $$;

do $$
declare
  v_pair record;
begin
  for v_pair in
    select 'authenticator' as member, unnest(array[
      'anon', 'partner', 'agent', 'admin', 'superadmin', 'subdist', 'erp', 'messenger',
      'monitor'
    ]) as granted
    union all select 'superadmin', 'admin'
    union all select 'hub_scheduler', 'hub_owner'
  loop
    if not exists (
      select from pg_catalog.pg_auth_members
      where roleid = to_regrole(v_pair.granted) and member = to_regrole(v_pair.member)
    ) then
      execute format('grant %I to %I', v_pair.granted, v_pair.member);
    end if;
  end loop;
end $$;

-- No statement of a caller runs or waits for a lock without a limit. It is shortest for strangers
-- and where callers are many; headquarters reads reports, the ERP sends many rows at once.
-- PostgREST applies the settings of the role that it switches to; those of authenticator apply to
-- its other logins. Jobs and migrations set their own.
do $$
declare
  v_limit record;
  v_role text;
  v_setting text;
begin
  for v_limit in
    select * from (values
      ('authenticator', 'statement_timeout=15s'),
      ('anon', 'statement_timeout=10s'),
      ('partner', 'statement_timeout=10s'),
      ('subdist', 'statement_timeout=10s'),
      ('agent', 'statement_timeout=10s'),
      ('monitor', 'statement_timeout=10s'),
      ('cache', 'statement_timeout=5s'),
      ('admin', 'statement_timeout=15s'),
      ('superadmin', 'statement_timeout=15s'),
      ('erp', 'statement_timeout=15s'),
      ('messenger', 'statement_timeout=15s')
    ) as wanted (role, statement)
  loop
    foreach v_setting in array array[
      v_limit.statement, 'lock_timeout=5s', 'idle_in_transaction_session_timeout=30s'
    ]
    loop
      continue when exists (
        select from pg_catalog.pg_db_role_setting
        where setrole = to_regrole(v_limit.role) and setdatabase = 0
          and v_setting = any (setconfig)
      );
      execute format(
        'alter role %I set %I to %L',
        v_limit.role, split_part(v_setting, '=', 1), split_part(v_setting, '=', 2)
      );
    end loop;
  end loop;
  -- PostgREST opens its sessions as authenticator, the scheduler its own. A page of a list and a
  -- batch of a job are read in less time than it takes to compile their plans.
  foreach v_role in array array['authenticator', 'hub_scheduler'] loop
    if not exists (
      select from pg_catalog.pg_db_role_setting
      where setrole = to_regrole(v_role) and setdatabase = 0 and 'jit=off' = any (setconfig)
    ) then
      execute format('alter role %I set jit to off', v_role);
    end if;
  end loop;
  if not exists (
    select from pg_catalog.pg_db_role_setting
    where setrole = to_regrole('hub_scheduler') and setdatabase = 0
      and 'role=hub_owner' = any (setconfig)
  ) then
    alter role hub_scheduler set role to 'hub_owner';
  end if;
end $$;

-- jobs.standbys() reads the lag of standbys. A login that may not grant this migrates without it.
do $$
begin
  if not pg_has_role('hub_owner', 'pg_read_all_stats', 'member') then
    grant pg_read_all_stats to hub_owner;
  end if;
exception
  when insufficient_privilege then
    raise notice 'job_health shows the lag of standbys in bytes only: '
      'a superuser can grant pg_read_all_stats to hub_owner';
end $$;
