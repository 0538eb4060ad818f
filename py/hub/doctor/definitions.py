"""Conventions that every object of the database follows, as queries that return those that do not."""

CHECKS = {
    "objects that hub_owner does not own": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('app', 'api', 'auth', 'jobs', 'migration')
          and c.relowner <> 'hub_owner'::regrole
        union all
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace::regnamespace::text in ('app', 'api', 'auth', 'jobs')
          and p.proowner <> 'hub_owner'::regrole""",
    "functions that PUBLIC may execute": """
        select p.oid::regprocedure::text
        from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace::regnamespace::text in ('app', 'api', 'auth', 'jobs') and a.grantee = 0""",
    "tables of app and auth without row-level security": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('app', 'auth') and c.relkind in ('r', 'p')
          and not c.relispartition and not c.relrowsecurity""",
    "views of api that bypass row security for callers other than headquarters": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace = to_regnamespace('api') and c.relkind = 'v'
          and not coalesce(c.reloptions && array[
            'security_invoker=true', 'security_invoker=on', 'security_barrier=true', 'security_barrier=on'
          ], false)
          and exists (select from unnest(array['anon', 'partner', 'agent', 'subdist', 'erp']) as r
            where has_table_privilege(r, c.oid, 'select'))""",
    "objects of api without a comment": """
        select c.oid::regclass::text from pg_class c
        where c.relnamespace = to_regnamespace('api') and c.relkind = 'v'
          and obj_description(c.oid, 'pg_class') is null
        union all
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace = to_regnamespace('api') and obj_description(p.oid, 'pg_proc') is null""",
    "invalid indexes": "select indexrelid::regclass::text from pg_index where not indisvalid",
}
"""By description, queries that return the objects that violate a convention."""
