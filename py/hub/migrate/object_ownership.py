"""Records which objects once-only schema files created; all others belong to repeatable files.

Repeatable objects are dropped if no file declares them, and may be created again. Functions and views of a
schema file, such as the function of a column default or a materialized view, must survive this, so each
schema step records what it added. Triggers and policies always belong to repeatable files: a schema file that
creates one is refused.
"""

from pathlib import Path
from typing import Any

import psycopg

from hub.migrate.errors import MigrationError

PRIVATE_SCHEMAS = ["app", "auth", "jobs"]

LEDGER = """
create table if not exists migration.schema_file (
  path text primary key,
  sha256 text not null,
  applied_at timestamptz not null default now()
);
create table if not exists migration.schema_object (
  kind text not null,
  identity text not null,
  path text not null,
  primary key (kind, identity)
);
create table if not exists migration.repeatable (
  path text primary key,
  sha256 text not null,
  applied_at timestamptz not null default now()
);
create table if not exists migration.repeatable_object (
  kind text not null,
  name text not null,
  source text not null,
  state text not null,
  primary key (kind, name)
);
comment on schema migration is 'The ledger of hub migrate, which alone writes to it';
comment on table migration.schema_file is 'Once-only files that were applied, with their hash';
comment on table migration.schema_object is 'Functions and views of once-only files, which are not dropped';
comment on table migration.repeatable is 'Repeatable files, with the hash of their last application';
comment on table migration.repeatable_object is
  'Statements of repeatable files: hashes of their source, and of the object that they led to';
"""

_OBJECTS = """
select 'function', p.oid::regprocedure::text from pg_catalog.pg_proc p
where p.pronamespace::regnamespace::text = any(%(schemas)s)
  and not exists (select from pg_catalog.pg_depend d where d.objid = p.oid and d.deptype = 'e')
union all
select 'view', c.oid::regclass::text from pg_catalog.pg_class c
where c.relnamespace::regnamespace::text = any(%(schemas)s) and c.relkind in ('v', 'm')
union all
select 'trigger', format('%%s on %%s', t.tgname, t.tgrelid::regclass) from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
where c.relnamespace::regnamespace::text = any(%(schemas)s) and not t.tgisinternal and t.tgparentid = 0
union all
select 'policy', format('%%s on %%s', p.polname, p.polrelid::regclass) from pg_catalog.pg_policy p
join pg_catalog.pg_class c on c.oid = p.polrelid
where c.relnamespace::regnamespace::text = any(%(schemas)s)
"""


def objects(conn: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """Kind and identity of every function, view, trigger and policy of the private schemas.

    The search_path must be empty, so that identities are schema-qualified.
    """
    return set(conn.execute(_OBJECTS, {"schemas": PRIVATE_SCHEMAS}).fetchall())


def record(conn: psycopg.Connection[Any], path: str, digest: str, before: set[tuple[str, str]]) -> None:
    """Record what a schema file added. Raises MigrationError if it created a trigger or a policy."""
    added = sorted(objects(conn) - before)
    for kind, identity in added:
        if kind in ("trigger", "policy"):
            raise MigrationError(
                f"creates the {kind} {identity}",
                path=Path("sql", path),
                hint="move triggers to sql/functions and policies to sql/policies",
            )
    # A step outside a transaction may have been interrupted before it was marked as applied.
    conn.execute(
        "insert into migration.schema_file (path, sha256) values (%s, %s) on conflict (path) do nothing",
        [path, digest],
    )
    for kind, identity in added:
        conn.execute(
            "insert into migration.schema_object (kind, identity, path) values (%s, %s, %s)"
            " on conflict (kind, identity) do update set path = excluded.path",
            [kind, identity, path],
        )
