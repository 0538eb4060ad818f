-- What the schema cache is made of: one JSON document. $1 is the exposed schema.
with
exposed as (
  select c.oid, c.relname, c.relkind, pg_relation_is_updatable(c.oid, true) as events
  from pg_class c
  where c.relnamespace = to_regnamespace(quote_ident($1)) and c.relkind in ('r', 'p', 'f', 'v', 'm') and not c.relispartition
),
columns as (
  select a.attrelid, json_agg(json_build_object(
      'name', a.attname, 'number', a.attnum, 'required', a.attnotnull and not a.atthasdef and a.attidentity = '',
      'type', format_type(a.atttypid, null), 'shown_type', format_type(a.atttypid, a.atttypmod),
      'category', t.typcategory, 'default', pg_get_expr(d.adbin, d.adrelid), 'comment', col_description(a.attrelid, a.attnum),
      'max_length', case when a.atttypid in (1042, 1043) and a.atttypmod > 4 then a.atttypmod - 4 end,
      'labels', (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = a.atttypid)
    ) order by a.attnum) as list
  from pg_attribute a
  join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid in (select oid from exposed) and a.attnum > 0 and not a.attisdropped
  group by a.attrelid
),
relations as (
  select json_agg(json_build_object(
      'oid', e.oid::bigint, 'name', e.relname, 'view', e.relkind in ('v', 'm'), 'columns', coalesce(c.list, '[]'),
      'comment', obj_description(e.oid, 'pg_class'),
      'insertable', e.events & 8 > 0, 'updatable', e.events & 4 > 0, 'deletable', e.events & 16 > 0
    ) order by e.relname) as list
  from exposed e left join columns c on c.attrelid = e.oid
),
view_rules as (
  select json_agg(json_build_object('oid', c.oid::bigint, 'tree', r.ev_action::text)) as list
  from pg_rewrite r join pg_class c on c.oid = r.ev_class
  where r.rulename = '_RETURN' and c.relkind in ('v', 'm')
    and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
),
foreign_keys as (
  select json_agg(json_build_object(
      'name', f.conname, 'table', f.conrelid::bigint, 'columns', f.conkey,
      'to_table', f.confrelid::bigint, 'to_columns', f.confkey) order by f.conname, f.oid) as list
  from pg_constraint f where f.contype = 'f' and f.conparentid = 0
),
keys as (
  select json_agg(json_build_object('table', i.indrelid::bigint, 'primary', i.indisprimary,
      'columns', (select json_agg(k order by k) from unnest(i.indkey::int[]) k)) order by i.indexrelid) as list
  from pg_index i join pg_class c on c.oid = i.indrelid
  where i.indisunique and i.indpred is null and i.indexprs is null and i.indnatts = i.indnkeyatts
    and c.relnamespace not in ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
),
arguments as (
  -- A function with an unnamed argument can be called only if that is all it takes, and the body is its value.
  select p.oid, case count(*) - count(nullif(p.proargnames[a.n], ''))
      when 0 then true
      when 1 then count(*) = 1 and bool_and(a.type in (
        'bytea'::regtype, 'json'::regtype, 'jsonb'::regtype, 'text'::regtype, 'xml'::regtype))
      else false
    end as callable, json_agg(json_build_object(
      'name', coalesce(p.proargnames[a.n], ''), 'type', format_type(a.type, null),
      'category', (select typcategory from pg_type where oid = a.type),
      'optional', a.place > p.pronargs - p.pronargdefaults, 'variadic', coalesce(p.proargmodes[a.n] = 'v', false)
    ) order by a.n) as list
  from pg_proc p
  cross join lateral (
    select n, type, row_number() over (order by n) as place
    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as u(type, n)
    where p.proargmodes is null or p.proargmodes[n] in ('i', 'b', 'v')
  ) a
  where p.pronamespace = to_regnamespace(quote_ident($1))
  group by p.oid
),
functions as (
  select json_agg(json_build_object(
      'oid', p.oid::bigint, 'name', p.proname, 'arguments', coalesce(a.list, '[]'),
      'volatile', p.provolatile = 'v', 'set', p.proretset, 'void', p.prorettype = 'void'::regtype, 'raw', t.typname = '*/*',
      'composite', t.typtype = 'c' or coalesce(p.proargmodes && '{t,b,o}', false) or p.prorettype = 'record'::regtype,
      'relation', nullif(t.typrelid, 0)::bigint, 'comment', obj_description(p.oid, 'pg_proc'),
      'settings', (select json_object_agg(split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)) from unnest(p.proconfig) s)
    ) order by p.proname, p.oid) as list
  from pg_proc p join pg_type t on t.oid = p.prorettype left join arguments a on a.oid = p.oid
  where p.pronamespace = to_regnamespace(quote_ident($1)) and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
    and coalesce(a.callable, true)
),
computed as (
  select json_agg(json_build_object(
      'name', p.proname, 'source', s.relname, 'target', t.relname, 'single', not p.proretset or p.prorows = 1
    ) order by p.proname, s.relname) as list
  from pg_proc p
  join pg_class s on s.reltype = p.proargtypes[0]
  join pg_class t on t.reltype = p.prorettype
  where p.pronamespace = to_regnamespace(quote_ident($1)) and p.pronargs = 1
    and s.oid in (select oid from exposed) and t.oid in (select oid from exposed)
),
role_settings as (
  select json_agg(json_build_object('role', r.rolname, 'name', k.name, 'value', k.value)) as list
  from pg_auth_members m
  join pg_roles r on r.oid = m.roleid
  cross join lateral unnest(r.rolconfig) as u(setting)
  cross join lateral (select split_part(u.setting, '=', 1), substr(u.setting, strpos(u.setting, '=') + 1)) as k(name, value)
  join pg_settings s on s.name = k.name
  where m.member = current_user::regrole
    and (s.context = 'user' or (s.context = 'superuser' and has_parameter_privilege(current_user, s.name, 'set')))
)
select json_build_object(
  'comment', obj_description(to_regnamespace(quote_ident($1)), 'pg_namespace'),
  'relations', coalesce((select list from relations), '[]'),
  'view_rules', coalesce((select list from view_rules), '[]'),
  'foreign_keys', coalesce((select list from foreign_keys), '[]'),
  'keys', coalesce((select list from keys), '[]'),
  'functions', coalesce((select list from functions), '[]'),
  'computed', coalesce((select list from computed), '[]'),
  'role_settings', coalesce((select list from role_settings), '[]'),
  'time_zones', (select json_agg(name) from pg_timezone_names)
)::text
