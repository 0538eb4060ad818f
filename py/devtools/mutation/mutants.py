"""Every rule of a migrated database, with the SQL that removes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from devtools.domains import domain_of
from devtools.mutation.rewrite import rewritings

SCHEMAS = ["api", "app", "auth", "jobs"]
CALLERS = "anon, partner, agent, admin, superadmin, subdist, erp, messenger, cache"

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Mutant:
    """A rule to remove; accepted.toml lists mutants by `name`."""

    name: str
    domain: str
    statement: str

    @property
    def kind(self) -> str:
        """policy, rls, view, constraint, required, trigger, guard, lock or grant."""
        return self.name.split(" ", 1)[0]


def mutants(conn: Connection) -> list[Mutant]:
    """All mutants of the database that `conn` is connected to, in a stable order."""
    found = [*_from_catalogue(conn), *_from_functions(conn)]
    names = [m.name for m in found]
    doubles = {n for n in names if names.count(n) > 1}
    if doubles:
        raise ValueError(f"two mutants with one name: {sorted(doubles)}")
    return sorted(found, key=lambda m: m.name)


# Each query returns the name (kind and target), the object that decides the domain, and the statement.
_QUERIES = {
    "a policy that is missing": """
        select format('policy %%s.%%s dropped', c.relname, p.polname), n.nspname || '.' || c.relname,
          format('drop policy %%I on %%s', p.polname, c.oid::regclass)
        from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(%(schemas)s)""",
    "a policy that lets every row through": """
        select format('policy %%s.%%s opened', c.relname, p.polname), n.nspname || '.' || c.relname,
          format('alter policy %%I on %%s using (true)', p.polname, c.oid::regclass)
        from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(%(schemas)s) and pg_get_expr(p.polqual, p.polrelid) <> 'true'""",
    "row security that is off": """
        select format('rls %%s.%%s', n.nspname, c.relname), n.nspname || '.' || c.relname,
          format('alter table %%s disable row level security', c.oid::regclass)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(%(schemas)s) and c.relrowsecurity and not c.relispartition""",
    "a view with its owner's rights": """
        select format('view %%s security_invoker', c.relname), n.nspname || '.' || c.relname,
          format('alter view %%s set (security_invoker = false)', c.oid::regclass)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'api' and c.relkind = 'v' and 'security_invoker=true' = any(c.reloptions)""",
    "a view without its barrier": """
        select format('view %%s security_barrier', c.relname), n.nspname || '.' || c.relname,
          format('alter view %%s reset (security_barrier)', c.oid::regclass)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'api' and c.relkind = 'v' and 'security_barrier=true' = any(c.reloptions)""",
    "check, unique, exclusion and foreign key": """
        select format('constraint %%s.%%s', c.relname, k.conname), n.nspname || '.' || c.relname,
          format('alter table %%s drop constraint %%I cascade', c.oid::regclass, k.conname)
        from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(%(schemas)s) and k.contype in ('c', 'u', 'x', 'f') and not c.relispartition""",
    "a check of a domain": """
        select format('constraint %%s.%%s', t.typname, k.conname), n.nspname || '.' || t.typname,
          format('alter domain %%s drop constraint %%I', t.oid::regtype, k.conname)
        from pg_constraint k join pg_type t on t.oid = k.contypid
        join pg_namespace n on n.oid = t.typnamespace
        where n.nspname = any(%(schemas)s)""",
    "a unique index that is not a constraint": """
        select format('constraint %%s.%%s', t.relname, i.relname), n.nspname || '.' || t.relname,
          format('drop index %%s', i.oid::regclass)
        from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
        join pg_namespace n on n.oid = t.relnamespace
        where n.nspname = any(%(schemas)s) and x.indisunique and t.relkind in ('r', 'p')
          and not t.relispartition
          and not exists (select from pg_constraint k where k.conindid = i.oid)""",
    "not null": """
        select format('required %%s.%%s', c.relname, a.attname), n.nspname || '.' || c.relname,
          format('alter table %%s alter column %%I drop not null', c.oid::regclass, a.attname)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p') and not c.relispartition
          and a.attnum > 0 and not a.attisdropped and a.attnotnull and a.attidentity = ''
          and a.attgenerated = ''
          and not exists (
            select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p'
              and a.attnum = any(k.conkey)
          )""",
    "trigger": """
        select format('trigger %%s.%%s', c.relname, t.tgname), n.nspname || '.' || c.relname,
          format('drop trigger %%I on %%s', t.tgname, c.oid::regclass)
        from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(%(schemas)s) and not t.tgisinternal and t.tgparentid = 0""",
    "a table granted to every caller": """
        select format('grant %%s.%%s', n.nspname, c.relname), n.nspname || '.' || c.relname,
          format('grant %%s on %%s to %%s', case when n.nspname = 'api' or c.relkind = 'm' then 'select'
            else 'select, insert, update, delete' end, c.oid::regclass, %(callers)s::text)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition""",
    "a column that a role may not read": """
        select format('grant %%s.%%s to %%s', c.relname, a.attname, r.rolname), n.nspname || '.' || c.relname,
          format('grant select (%%I) on %%s to %%I', a.attname, c.oid::regclass, r.rolname)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        cross join pg_roles r
        where n.nspname = any(%(schemas)s) and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
          and r.rolname in ('partner', 'agent', 'admin', 'subdist')
          and has_any_column_privilege(r.rolname, c.oid, 'select')
          and not has_column_privilege(r.rolname, c.oid, a.attnum, 'select')""",
    "a function granted to every caller": """
        select format('grant %%s(%%s)', p.oid::regproc, pg_get_function_identity_arguments(p.oid)),
          p.oid::regproc::text,
          format('grant execute on function %%s to %%s', p.oid::regprocedure, %(callers)s::text)
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = any(%(schemas)s) and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
          and exists (select from pg_roles r where r.rolname = any(string_to_array(%(callers)s, ', '))
            and not has_function_privilege(r.rolname, p.oid, 'execute'))""",
    "a schema granted to every caller": """
        select format('grant schema %%s', n.nspname), n.nspname,
          format('grant usage, create on schema %%I to %%s', n.nspname, %(callers)s::text)
        from pg_namespace n where n.nspname = any(%(schemas)s)""",
}

_FUNCTIONS = """
select p.oid::regproc::text, p.oid::regprocedure::text, pg_get_functiondef(p.oid)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = any(%(schemas)s) and p.prokind = 'f'
order by 2
"""


def _from_catalogue(conn: Connection) -> Iterator[Mutant]:
    arguments = {"schemas": SCHEMAS, "callers": CALLERS}
    for query in _QUERIES.values():
        for name, target, statement in conn.execute(query, arguments).fetchall():
            yield Mutant(name, domain_of(target), statement)


def _from_functions(conn: Connection) -> Iterator[Mutant]:
    for name, _, text in conn.execute(_FUNCTIONS, {"schemas": SCHEMAS}).fetchall():
        for changed in rewritings(text):
            yield Mutant(f"{changed.kind} {name} {changed.what}", domain_of(name), changed.text)
