"""The repeatable objects that a database has, and the ledger of those that `hub migrate` has created."""

from dataclasses import dataclass
from typing import Any

import psycopg

from hub.migrate.declarations import Declared
from hub.migrate.object_ownership import PRIVATE_SCHEMAS

Key = tuple[str, str]

CALLERS = (
    "anon", "partner", "agent", "admin", "superadmin", "subdist", "erp", "messenger", "cache",
    "authenticator", "monitor",
)  # fmt: skip
"""Roles whose privileges come from repeatable files only; grants to other roles stay."""

SCHEMAS = [*PRIVATE_SCHEMAS, "api"]

BLOCKS = "blocks"
"""The ledger's source of triggers that DO blocks have created."""

ALL_GRANTS = ("grant", "all")
"""The ledger's row of all privileges."""

_PRESENT = """
with relation as (
  select c.oid, c.relkind, c.reloptions, c.relispartition, n.nspname, c.relname
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any (%(schemas)s)
)
select 'function', n.nspname || '.' || p.proname, p.oid::regprocedure::text,
  md5(pg_get_functiondef(p.oid))
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = any (%(schemas)s) and p.prokind <> 'a'
  and not exists (select from pg_catalog.pg_depend d where d.objid = p.oid and d.deptype = 'e')
  and ('function', p.oid::regprocedure::text) not in (select kind, identity from migration.schema_object)
union all
select 'view', r.nspname || '.' || r.relname,
  case r.relkind when 'm' then 'materialized ' else '' end || 'view ' || r.oid::regclass::text,
  md5(pg_get_viewdef(r.oid) || coalesce(r.reloptions::text, ''))
from relation r
where r.relkind in ('v', 'm')
  and ('view', r.oid::regclass::text) not in (select kind, identity from migration.schema_object)
union all
select 'type', 'api.' || t.typname, case t.typtype when 'd' then 'domain ' else 'type ' end
  || t.oid::regtype::text,
  md5(coalesce(format_type(nullif(t.typbasetype, 0), t.typtypmod), (
    select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ',' order by a.attnum)
    from pg_catalog.pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ), ''))
from pg_catalog.pg_type t left join relation r on r.oid = t.typrelid
where t.typnamespace = to_regnamespace('api')
  and (t.typtype in ('d', 'e') or (t.typtype = 'c' and r.relkind = 'c'))
union all
select 'trigger', t.tgname || ' on ' || r.nspname || '.' || r.relname,
  format('%%I on %%s', t.tgname, r.oid::regclass), md5(pg_get_triggerdef(t.oid) || t.tgenabled::text)
from pg_catalog.pg_trigger t join relation r on r.oid = t.tgrelid
where not t.tgisinternal and t.tgparentid = 0 and not r.relispartition
union all
select 'policy', p.polname || ' on ' || r.nspname || '.' || r.relname,
  format('%%I on %%s', p.polname, r.oid::regclass),
  md5(concat_ws('|', p.polcmd, p.polpermissive, p.polroles::regrole[]::text,
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)))
from pg_catalog.pg_policy p join relation r on r.oid = p.polrelid
where not r.relispartition
"""

_GRANTS = """
select md5(string_agg(concat_ws(' ', g.what, g.name, g.role, g.privilege_type, g.is_grantable), ','
  order by g.what, g.name, g.role, g.privilege_type))
from (
  select 'relation' as what, c.oid::regclass::text as name, a.grantee::regrole::text as role,
    a.privilege_type, a.is_grantable
  from pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
  where c.relnamespace::regnamespace::text = any (%(schemas)s)
  union all
  select 'column', t.attrelid::regclass || '.' || t.attname, a.grantee::regrole::text,
    a.privilege_type, a.is_grantable
  from pg_catalog.pg_attribute t join pg_catalog.pg_class c on c.oid = t.attrelid,
    pg_catalog.aclexplode(t.attacl) a
  where c.relnamespace::regnamespace::text = any (%(schemas)s)
  union all
  select 'routine', p.oid::regprocedure::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
  from pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
  where p.pronamespace::regnamespace::text = any (%(schemas)s)
  union all
  select 'schema', n.nspname, a.grantee::regrole::text, a.privilege_type, a.is_grantable
  from pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
  where n.nspname = any (%(schemas)s || array['extensions'])
) as g
where g.role = any (%(callers)s || array['-'])
"""

_REVOKE = """
select format('revoke all on all %%s in schema %%s from public, %%s', what, schema, %(callers)s::text)
from unnest(array['tables', 'sequences', 'routines']) as what, unnest(%(schemas)s::text[]) as schema
union all
select format('revoke all on schema %%s from public, %%s', schema, %(callers)s::text)
from unnest(%(schemas)s::text[] || array['extensions']) as schema
"""

_FIXED = """
select md5(string_agg(x.id, ',' order by x.id)) from (
  select 'r' || c.oid as id from pg_catalog.pg_class c
  where c.relnamespace::regnamespace::text = any (%(schemas)s) and c.relkind not in ('v', 'm', 'c')
  union all
  select 'd' || d.oid from pg_catalog.pg_attrdef d
  join pg_catalog.pg_class c on c.oid = d.adrelid and c.relkind in ('r', 'p')
  where c.relnamespace::regnamespace::text = any (%(schemas)s)
  union all
  select 'c' || k.oid from pg_catalog.pg_constraint k
  where k.connamespace::regnamespace::text = any (%(schemas)s) and k.contype <> 't'
  union all
  select 'o' || case o.kind
    when 'function' then to_regprocedure(o.identity)::oid else to_regclass(o.identity)::oid end
  from migration.schema_object o where o.kind in ('function', 'view')
) as x
"""


@dataclass(frozen=True)
class Present:
    """An object of the database; `identity` is how a DROP names it, `state` a hash of its definition."""

    identity: str
    state: str


@dataclass(frozen=True)
class Recorded:
    """A row of the ledger: hashes of the source, and of the definitions that it led to."""

    source: str
    state: str


def present(conn: psycopg.Connection[Any]) -> dict[Key, list[Present]]:
    """The repeatable objects by kind and name, overloads together; the search_path must be empty."""
    found: dict[Key, list[Present]] = {}
    for kind, name, identity, state in conn.execute(_PRESENT, {"schemas": SCHEMAS}).fetchall():
        found.setdefault((kind, name), []).append(Present(identity, state))
    return found


def overloads(conn: psycopg.Connection[Any], name: str) -> int:
    """The number of functions of this qualified name."""
    return conn.execute(
        "select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname || '.' || p.proname = %s",
        [name],
    ).rowcount


def grants(conn: psycopg.Connection[Any]) -> str:
    """A hash of all privileges of the hub's roles and of PUBLIC."""
    rows = conn.execute(_GRANTS, {"schemas": SCHEMAS, "callers": list(CALLERS)}).fetchall()
    return str(rows[0][0])


def revoke_all(conn: psycopg.Connection[Any]) -> None:
    """Take all privileges away from the hub's roles and from PUBLIC."""
    arguments = {"schemas": SCHEMAS, "callers": ", ".join(CALLERS)}
    for (command,) in conn.execute(_REVOKE, arguments).fetchall():
        conn.execute(command)


def fixed(conn: psycopg.Connection[Any]) -> str:
    """A hash of what schema files have created, which no change of repeatable objects may drop."""
    return str(conn.execute(_FIXED, {"schemas": PRIVATE_SCHEMAS}).fetchall()[0][0])


def recorded(conn: psycopg.Connection[Any]) -> dict[Key, Recorded]:
    """The ledger."""
    rows = conn.execute("select kind, name, source, state from migration.repeatable_object").fetchall()
    return {(kind, name): Recorded(source, state) for kind, name, source, state in rows}


def is_unchanged(conn: psycopg.Connection[Any]) -> bool:
    """Whether the database is as the ledger says; the search_path must be empty."""
    ledger = recorded(conn)
    states = {key: state_of(objects) for key, objects in present(conn).items()}
    kept = {key: row.state for key, row in ledger.items() if row.state and key != ALL_GRANTS}
    return bool(ledger) and states == kept and ledger[ALL_GRANTS].state == grants(conn)


def record(conn: psycopg.Connection[Any], declared: list[Declared]) -> None:
    """Write the ledger of a database in which all of `declared` has been applied."""
    sources = source_hashes(declared)
    states = {key: state_of(objects) for key, objects in present(conn).items()}
    rows = [(*key, source, states.get(key, "")) for key, source in sources.items()]
    rows += [(*key, BLOCKS, state) for key, state in states.items() if key not in sources]
    rows.append((*ALL_GRANTS, "", grants(conn)))
    conn.execute("delete from migration.repeatable_object")
    conn.execute(
        "insert into migration.repeatable_object (kind, name, source, state)"
        " select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[])",
        [list(column) for column in zip(*rows, strict=True)],
    )


def source_hashes(declared: list[Declared]) -> dict[Key, str]:
    """The hash of the statements of each kind and name."""
    found: dict[Key, str] = {}
    for statement in declared:
        found[statement.key] = found.get(statement.key, "") + statement.sha256
    return found


def state_of(objects: list[Present]) -> str:
    """The hash of one object, or the hashes of overloads in their order."""
    return " ".join(sorted(item.state for item in objects))
