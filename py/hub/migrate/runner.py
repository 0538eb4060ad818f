"""Runs a migration: bootstrap, steps, repeatable files and jobs, in this order, under one advisory lock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from hub import paths
from hub.errors import UserError
from hub.migrate import object_ownership
from hub.migrate.bootstrap import OWNER, bootstrap
from hub.migrate.dry_run import dry_run
from hub.migrate.errors import MigrationError
from hub.migrate.history import apply_pending
from hub.migrate.jobs import apply_jobs
from hub.migrate.repeatable import apply_repeatables
from hub.migrate.report import Report
from hub.migrate.script import describe
from hub.migrate.tree import Tree

_LOCK_KEY = 0x616C6661_687562  # "alfahub" in ASCII
_LOCK_SECONDS = 600
_STANDBY_SECONDS = 40  # a report can delay a standby by max_standby_streaming_delay, by default 30 seconds

Say = Callable[[str], None]

PreviousSecret = tuple[str, datetime]
"""The signing secret before the present one, and until when its tokens are accepted."""


def migrate(
    database_url: str,
    *,
    require_cron: bool = False,
    jwt_secret: str | None = None,
    jwt_previous: PreviousSecret | None = None,
    authenticator_password: str | None = None,
    cache_password: str | None = None,
    trusted_proxies: str = "",
    sql_root: Path | None = None,
    migrations_root: Path | None = None,
    say: Say | None = None,
) -> Report:
    """Migrate a database to the latest version. A second run changes nothing.

    `database_url` must be a direct connection, because a pooler does not keep the session of the advisory
    lock. `jwt_secret`, the former one that is still accepted, and the passwords of the logins `authenticator`
    and `cache` are stored in the database if given, `trusted_proxies` in the config of that name. Raises
    MigrationError for a file that fails or a database that does not match the files, and UserError if the
    database cannot be reached.
    """
    tree = Tree(sql_root or paths.sql_root(), migrations_root or paths.migrations_root())
    report = Report()
    try:
        with _connect(database_url) as conn, _alone(conn, say or (lambda _: None)):
            bootstrap(conn, tree, {"authenticator": authenticator_password, "cache": cache_password})
            report.steps = apply_pending(conn, tree)
            apply_repeatables(conn, tree, report)
            _analyze_new_tables(conn)
            report.secret_stored = store_secret(conn, jwt_secret, jwt_previous)
            _store_proxies(conn, trusted_proxies)
            try:
                apply_jobs(conn, tree, report, require_cron=require_cron)
            finally:
                if report.changed:
                    _wait_for_standbys(conn, report)
                    conn.execute("notify pgrst, 'reload schema'")
    except psycopg.Error as error:
        raise _failed(error) from error
    return report


def preview(
    database_url: str, *, sql_root: Path | None = None, migrations_root: Path | None = None
) -> list[str]:
    """The SQL of a migration with the locks that it takes, as lines; changes nothing.

    Raises as `migrate` does.
    """
    tree = Tree(sql_root or paths.sql_root(), migrations_root or paths.migrations_root())
    try:
        with _connect(database_url) as conn:
            return dry_run(conn, tree)
    except psycopg.Error as error:
        raise _failed(error) from error


def _failed(error: psycopg.Error) -> MigrationError:
    message, hint = describe(error.diag) if error.diag.message_primary else (str(error).strip(), "")
    return MigrationError(message, hint=hint)


def _connect(url: str) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="hub migrate")
    except psycopg.Error as error:
        raise UserError(
            f"cannot connect to the database: {str(error).strip()}",
            hint="is the server running (./hub up), and is --database right?",
        ) from None


@contextmanager
def _alone(conn: psycopg.Connection[Any], say: Say) -> Iterator[None]:
    """Hold the advisory lock; the server releases it when the connection ends."""
    deadline = time.monotonic() + _LOCK_SECONDS
    announced = False
    while not conn.execute("select pg_try_advisory_lock(%s)", [_LOCK_KEY]).fetchall()[0][0]:
        if not announced:
            say("another migration of this database is running: waiting for it")
            announced = True
        if time.monotonic() > deadline:
            raise UserError(
                f"another migration has held the lock for {_LOCK_SECONDS} seconds",
                hint="look for 'hub migrate' in pg_stat_activity",
            )
        time.sleep(0.25)
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute("select pg_advisory_unlock(%s)", [_LOCK_KEY])


def _analyze_new_tables(conn: psycopg.Connection[Any]) -> None:
    """Give the planner statistics of the tables that have none; without, it guesses ten pages for each."""
    tables = conn.execute(
        "select c.oid::regclass::text from pg_catalog.pg_class c"
        " where c.relnamespace::regnamespace::text = any(%s) and c.relkind in ('r', 'm')"
        " and c.reltuples < 0 order by 1",
        [object_ownership.PRIVATE_SCHEMAS],
    ).fetchall()
    if tables:
        with conn.transaction():
            conn.execute(f"set local role {OWNER}")
            conn.execute("analyze " + ", ".join(name for (name,) in tables))


def _wait_for_standbys(conn: psycopg.Connection[Any], report: Report) -> None:
    """Wait until streaming standbys have replayed the migration, because gateways read the schema there.

    A login that may not read pg_stat_replication does not wait.
    """
    (written,) = conn.execute("select pg_current_wal_lsn()").fetchall()[0]
    deadline = time.monotonic() + _STANDBY_SECONDS
    behind = "select from pg_stat_replication where state = 'streaming' and replay_lsn < %s"
    while conn.execute(behind, [written]).rowcount:
        if time.monotonic() > deadline:
            report.remarks.append(
                f"a standby is {_STANDBY_SECONDS} seconds behind: its gateway serves the former schema until"
                " `notify pgrst` is repeated"
            )
            return
        time.sleep(0.05)


def _store_proxies(conn: psycopg.Connection[Any], proxies: str) -> None:
    """Write `auth.trusted_proxies` where the installation names its proxies; raises psycopg.Error."""
    networks = [network.strip() for network in proxies.split(",") if network.strip()]
    if networks:
        with conn.transaction():
            conn.execute(f"set local role {OWNER}")
            conn.execute(
                "update app.system_configs set config_value = to_jsonb(%s::text[])"
                " where config_key = 'auth.trusted_proxies'",
                [networks],
            )


def store_secret(
    conn: psycopg.Connection[Any], secret: str | None, previous: PreviousSecret | None = None
) -> bool:
    """Store the signing secret for `login`, and the one before it; returns whether they changed."""
    if not secret or not conn.execute("select to_regclass('auth.jwt_secret')").fetchall()[0][0]:
        return False
    with conn.transaction():
        conn.execute(f"set local role {OWNER}")
        stored = conn.execute(
            "insert into auth.jwt_secret as s (secret, previous_secret, previous_until) values (%s, %s, %s)"
            " on conflict (singleton) do update set secret = excluded.secret,"
            " previous_secret = excluded.previous_secret, previous_until = excluded.previous_until"
            " where s is distinct from excluded",
            [secret, *(previous or (None, None))],
        )
        return stored.rowcount > 0
