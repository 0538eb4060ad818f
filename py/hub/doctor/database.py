"""Checks of the database: versions, connections, jobs, standby, archive, bloat, definitions."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg

from hub import paths
from hub.doctor.definitions import CHECKS
from hub.doctor.findings import Finding
from hub.stack import gateway, pgbouncer, replica

Connection = psycopg.Connection[Any]

CONNECTIONS = gateway.POOL_SIZE + 1 + pgbouncer.POOL_SIZE + 10
"""Connections to PostgreSQL that the stack may use: gateway, PgBouncer, adapters, `hub`."""

_MAX_MAJOR = 18
_CLOCK_SECONDS = 2
_TRANSACTION_SECONDS = 900
_FREEZE_AGE = 1_000_000_000
_DEAD_RATIO = 0.4
_DEAD_ROWS = 10_000


def check(conn: Connection, *, has_replica: bool) -> Iterator[Finding]:
    """Check a database of the hub; the connection is in autocommit mode and may read everything."""
    yield version(conn.info.server_version)
    yield steps(conn)
    yield clock(conn)
    yield connections(conn, CONNECTIONS + (gateway.POOL_SIZE + 1 if has_replica else 0))
    yield launcher(conn)
    yield jobs(conn)
    if has_replica:
        yield standby(conn)
    yield archive(conn)
    yield transactions(conn)
    yield frozen_ids(conn)
    yield bloat(conn)
    for text, query in CHECKS.items():
        yield _definition(conn, text, query)


def version(number: int) -> Finding:
    """Whether the hub is tested with this server, by its version number."""
    major = number // 10000
    return Finding(
        15 <= major <= _MAX_MAJOR,
        f"PostgreSQL {major}.{number % 10000}",
        "the hub is not tested with it",
        f"use PostgreSQL 15 to {_MAX_MAJOR}",
    )


def steps(conn: Connection) -> Finding:
    """Whether every migration step of the checkout is applied, and no other."""
    files = {path.stem for path in paths.migrations_root().glob("*.py")}
    applied = {row[0] for row in conn.execute("select migration_id from migration._yoyo_migration")}
    pending, unknown = sorted(files - applied), sorted(applied - files)
    text = [f"the database lacks {', '.join(pending)}"] if pending else []
    text += [f"the checkout lacks {', '.join(unknown)}"] if unknown else []
    return Finding(
        not text,
        "; ".join(text) or f"all {len(files)} steps are applied",
        "programs and database are of different versions",
        "./hub migrate" if pending else "git pull: the database is newer than this checkout",
    )


def clock(conn: Connection) -> Finding:
    """Whether this machine and the server agree on the time."""
    began = time.time()
    server = float(conn.execute("select extract(epoch from clock_timestamp())").fetchall()[0][0])
    apart = abs(server - (began + time.time()) / 2)
    return Finding(
        apart < _CLOCK_SECONDS,
        f"this machine and PostgreSQL are {apart:.1f} seconds apart",
        "tokens are refused or live too long",
        "synchronise both clocks by NTP",
    )


def connections(conn: Connection, needed: int = CONNECTIONS) -> Finding:
    """Whether the server accepts as many connections as the stack may use."""
    allowed = conn.execute(
        "select sum(case name when 'max_connections' then setting::int else -setting::int end)"
        " from pg_settings where name in ('max_connections', 'superuser_reserved_connections')"
    ).fetchall()[0][0]
    return Finding(
        allowed >= needed,
        f"PostgreSQL accepts {allowed} connections; the stack uses up to {needed}",
        "under load, requests are refused with 53300",
        "raise max_connections in postgresql.conf and restart",
    )


def launcher(conn: Connection) -> Finding:
    """Whether pg_cron runs, in this database."""
    row = conn.execute(
        "select (select count(*) from pg_stat_activity where backend_type = 'pg_cron launcher'),"
        " current_setting('cron.database_name', true)"
    ).fetchall()[0]
    runs, name = bool(row[0]), row[1]
    here = name == conn.info.dbname
    text = "pg_cron runs" if runs else "pg_cron does not run"
    return Finding(
        runs and here,
        text if here else f"{text}, with its jobs in the database {name}",
        "no job runs: points do not vest, no reminder is sent, the audit buffer grows",
        "./hub down, then ./hub up; a dropped database ends pg_cron 1.4.2 until then"
        if here
        else "set cron.database_name and restart; or run the jobs with another scheduler",
    )


def jobs(conn: Connection) -> Finding:
    """Whether a job, a stream of the ERP or a queue is late."""
    rows = conn.execute("select job, last_error from jobs.health() where is_late order by job").fetchall()
    late = ", ".join(f"{job} ({error})" if error else job for job, error in rows)
    return Finding(
        not rows,
        f"late: {late}" if rows else "no job and no stream of the ERP is late",
        "docs/operations/jobs.md lists what stops with each job",
        "./hub jobs run NAME shows the error of a job; ./hub logs erp that of a stream",
    )


def standby(conn: Connection) -> Finding:
    """Whether the standby follows, and how far it is behind."""
    meaning, next_step = "reports are read from the primary, or show the past", "./hub up builds it again"
    row = conn.execute(
        "select not is_late, error, lag_bytes, lag_seconds from jobs.standbys() where name = %s",
        [replica.SLOT],
    ).fetchone()
    if row is None:
        text = f"standby: there is no replication slot '{replica.SLOT}'; ./hub up builds it again"
        return Finding(False, text, meaning, next_step)
    follows, problem, behind, seconds = row
    text = f"standby: {problem or f'{behind} bytes and {seconds} seconds behind'}"
    return Finding(follows, text, meaning, next_step)


def archive(conn: Connection) -> Finding:
    """Whether the last attempt to archive WAL succeeded."""
    row = conn.execute(
        "select last_failed_time > coalesce(last_archived_time, '-infinity'), last_failed_wal,"
        " current_setting('archive_mode') <> 'off' and current_setting('archive_command')"
        " not in ('', '(disabled)', '/bin/true') from pg_stat_archiver"
    ).fetchall()[0]
    failing, segment, archives = row
    return Finding(
        not failing,
        f"WAL is not archived since {segment}"
        if failing
        else f"WAL is {'archived' if archives else 'not archived: there are no backups'}",
        "WAL fills the disk, and no backup reaches this moment",
        "./hub logs postgres; is the folder of backups full or away?",
    )


def transactions(conn: Connection) -> Finding:
    """Whether a transaction is open for too long."""
    row = conn.execute(
        "select pid, extract(epoch from now() - xact_start)::int from pg_stat_activity"
        " where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid()"
        " order by xact_start limit 1"
    ).fetchone()
    pid, seconds = row or (0, 0)
    return Finding(
        seconds < _TRANSACTION_SECONDS,
        f"the oldest transaction is open for {seconds} seconds",
        "it holds locks, and vacuum removes nothing that is younger",
        f"look at it in pg_stat_activity, then select pg_terminate_backend({pid})",
    )


def frozen_ids(conn: Connection) -> Finding:
    """Whether vacuum freezes old rows in time."""
    age = int(
        conn.execute("select max(age(datfrozenxid)) from pg_database where datallowconn").fetchall()[0][0]
    )
    return Finding(
        age < _FREEZE_AGE,
        f"the oldest transaction id that is not frozen is {age} transactions old",
        "at 2,100 million PostgreSQL accepts no more writes",
        "look for a long transaction or a slot that no one reads, then VACUUM (FREEZE)",
    )


def bloat(conn: Connection) -> Finding:
    """Whether a table consists of dead rows to a large part."""
    rows = conn.execute(
        "select relid::regclass::text, round(100.0 * n_dead_tup / nullif(n_dead_tup + n_live_tup, 0))"
        " from pg_stat_user_tables where n_dead_tup > %s"
        " and n_dead_tup > %s * (n_dead_tup + n_live_tup) order by n_dead_tup desc limit 5",
        [_DEAD_ROWS, _DEAD_RATIO],
    ).fetchall()
    names = ", ".join(f"{name} ({share} %)" for name, share in rows)
    return Finding(
        not rows,
        f"dead rows: {names}" if rows else "no table consists of dead rows",
        "lists and jobs read what is not there any more",
        "VACUUM the table; look for a long transaction or a slot that no one reads",
    )


def _definition(conn: Connection, text: str, query: str) -> Finding:
    names = [row[0] for row in conn.execute(query).fetchall()]
    shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return Finding(
        not names,
        f"{text}: {len(names)}{f' ({shown})' if names else ''}",
        "someone changed the database by hand",
        "./hub migrate applies the files again; put what shall stay into a file",
    )
