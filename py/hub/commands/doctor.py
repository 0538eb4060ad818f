"""hub doctor: checks the machine, the stack, and the privileges and definitions in its database."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg

from hub import paths, postgres, settings
from hub.console import out
from hub.errors import UserError
from hub.stack import gateway, pgbouncer, redis, replica
from hub.stack.layout import Stack
from hub.stack.supervise import Supervisor

Finding = tuple[bool, str]

CONNECTIONS = gateway.POOL_SIZE + 1 + pgbouncer.POOL_SIZE + 10
"""Connections to PostgreSQL that the stack may use: gateway, PgBouncer, adapters, `hub`."""


def doctor() -> None:
    """Print a line for each check; raises UserError if one fails."""
    findings = [*_machine(), *_stack()]
    for passed, text in findings:
        out.print(f"{'ok  ' if passed else 'FAIL'}  {text}", style="" if passed else "red", markup=False)
    failed = sum(not passed for passed, _ in findings)
    if failed:
        raise UserError(
            f"{failed} of {len(findings)} checks failed", hint="see the lines that begin with FAIL"
        )


def _try(check: Callable[[], str]) -> Finding:
    try:
        return True, check()
    except (UserError, psycopg.Error) as error:
        return False, str(error).strip().replace("\n", " ")


def _machine() -> Iterator[Finding]:
    yield sys.version_info >= (3, 11), f"Python {sys.version.split()[0]}"
    installed, text = _try(lambda: f"PostgreSQL programs in {postgres.bin_dir()}")
    yield installed, text
    for extension in ("pg_cron", "plpgsql_check", "pgcrypto", "btree_gist", "pg_trgm") if installed else ():
        available = postgres.has_extension(extension)
        yield available, f"extension {extension} is {'installed' if available else 'missing'}"
    yield _try(lambda: f"pgbouncer in {pgbouncer.program()}")
    found = redis.program()
    yield True, f"Redis in {found}" if found else redis.MISSING
    preference = settings.read().gateway
    yield _try(lambda: gateway.choose(preference, paths.root() / ".cache" / "postgrest").banner)


def _stack() -> Iterator[Finding]:
    try:
        stack = Stack.existing()
    except UserError as error:
        yield True, f"{error.message} (./hub up creates one)"
        return
    mode = settings.env_file(stack.folder).stat().st_mode & 0o777
    yield mode == 0o600, f"secrets in {settings.env_file(stack.folder)} have mode {mode:04o}"
    if until := stack.settings.jwt_previous_until:
        yield (
            until > datetime.now(UTC),
            f"the former signing secret is needed until {until:%Y-%m-%d %H:%M %Z}; then:"
            " ./hub rotate-key --drop",
        )
    running = stack.cluster.is_running()
    yield (
        running,
        f"PostgreSQL is {'running' if running else 'down'} on port {stack.settings.postgres_port}",
    )
    supervisor = Supervisor(stack)
    states = supervisor.states() if supervisor.is_running() else {}
    for name in states or ("pgbouncer", "gateway"):
        state = states[name]["statename"] if name in states else "STOPPED"
        yield state == "RUNNING", f"{name} is {state}"
    if not running:
        return
    try:
        with psycopg.connect(stack.settings.database_url.get_secret_value(), connect_timeout=5) as conn:
            yield connections(conn, CONNECTIONS + (gateway.POOL_SIZE + 1 if stack.has_replica else 0))
            if stack.has_replica:
                yield standby(conn)
            for text, query in CHECKS.items():
                yield _count(conn, text, query)
    except psycopg.Error as error:
        yield False, f"database: {str(error).strip()}"


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


def connections(conn: psycopg.Connection[Any], needed: int = CONNECTIONS) -> Finding:
    """Whether the server accepts as many connections as the stack may use."""
    allowed = conn.execute(
        "select sum(case name when 'max_connections' then setting::int else -setting::int end)"
        " from pg_settings where name in ('max_connections', 'superuser_reserved_connections')"
    ).fetchall()[0][0]
    return (
        allowed >= needed,
        f"PostgreSQL accepts {allowed} connections; the stack uses up to {needed}",
    )


def standby(conn: psycopg.Connection[Any]) -> Finding:
    """Whether the standby follows, and how far it is behind."""
    row = conn.execute(
        "select not is_late, error, lag_bytes, lag_seconds from jobs.standbys() where name = %s",
        [replica.SLOT],
    ).fetchone()
    if row is None:
        return False, f"standby: there is no replication slot '{replica.SLOT}'; ./hub up builds it again"
    follows, problem, behind, seconds = row
    return follows, f"standby: {problem or f'{behind} bytes and {seconds} seconds behind'}"


def _count(conn: psycopg.Connection[Any], text: str, query: str) -> Finding:
    names = [row[0] for row in conn.execute(query).fetchall()]
    shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return not names, f"{text}: {len(names)}{f' ({shown})' if names else ''}"
