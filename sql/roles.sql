-- Roles of the whole cluster; run by "hub migrate" before anything else, any number of times, in any of its databases.
-- Nothing is written where nothing differs: roles are shared, and two databases may be migrated at once.

do $$
declare
  v_role record;
begin
  for v_role in
    select * from (values
      ('hub_owner', 'nologin', 'Owns every object of the Digital Hub; nobody logs in as it'),
      ('authenticator', 'login noinherit', 'PostgREST logs in as this, owns nothing, and switches to the token''s role'),
      -- pg_cron opens sessions, which a nologin role may not. It has no password.
      ('hub_scheduler', 'login noinherit', 'pg_cron runs the jobs of the Digital Hub as this, which is hub_owner at once'),
      ('anon', 'nologin', 'No token'),
      ('partner', 'nologin', 'A salon or barber: the token''s sub = app.partners.id'),
      ('agent', 'nologin', 'A salesman: the token''s sub = app.agents.id'),
      ('admin', 'nologin', 'Headquarters: the token''s sub = app.agents.id'),
      ('superadmin', 'nologin', 'Headquarters, with roles and configs: the token''s sub = app.agents.id'),
      ('subdist', 'nologin', 'A sub-distributor: the token''s sub = app.sub_distributors.id'),
      ('erp', 'nologin', 'The ERP adapter'),
      ('messenger', 'nologin', 'The WhatsApp and e-mail adapter')
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
      'anon', 'partner', 'agent', 'admin', 'superadmin', 'subdist', 'erp', 'messenger'
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

-- A caller's statement never runs for ever, nor waits for ever for a lock. PostgREST applies the settings of the role
-- that it switches to; authenticator's hold for whoever else logs in as it. Jobs and migrations set their own.
do $$
declare
  v_role text;
  v_setting text;
begin
  foreach v_role in array array[
    'authenticator', 'anon', 'partner', 'agent', 'admin', 'superadmin', 'subdist', 'erp', 'messenger'
  ]
  loop
    foreach v_setting in array array[
      'statement_timeout=15s', 'lock_timeout=5s', 'idle_in_transaction_session_timeout=30s'
    ]
    loop
      continue when exists (
        select from pg_catalog.pg_db_role_setting
        where setrole = to_regrole(v_role) and setdatabase = 0 and v_setting = any (setconfig)
      );
      execute format(
        'alter role %I set %I to %L', v_role, split_part(v_setting, '=', 1), split_part(v_setting, '=', 2)
      );
    end loop;
  end loop;
  if not exists (
    select from pg_catalog.pg_db_role_setting
    where setrole = to_regrole('hub_scheduler') and setdatabase = 0 and 'role=hub_owner' = any (setconfig)
  ) then
    alter role hub_scheduler set role to 'hub_owner';
  end if;
end $$;
