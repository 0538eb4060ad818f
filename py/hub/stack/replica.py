"""The standby of a stack: a copy of its PostgreSQL that follows by streaming replication and serves reports.

A stack has one as soon as the folder of its data exists. Its replication slot keeps the WAL that it has not
received yet, up to HUB_REPLICA_WAL_KEEP; a standby that missed more is built again.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, errors, sql
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from hub import postgres, settings
from hub.cluster import Cluster, cron_settings
from hub.errors import UserError
from hub.migrate.bootstrap import ensure_password
from hub.ports import HOST
from hub.stack.layout import REPLICA, Stack
from hub.stack.supervise import Supervisor

SLOT = "reports"
"""The replication slot, and the name under which the standby connects."""

ROLE = "replicator"

_SIGNAL = "standby.signal"
_CATCH_UP_SECONDS = 20
_RELEASE_SECONDS = 15
_LIMITS = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
)
"""Settings that must not be lower on a standby than on its primary."""


def standby(stack: Stack, **limits: str) -> Cluster:
    """The standby as a cluster; `limits` are the primary's values of _LIMITS, where they are known."""
    following = {
        "primary_conninfo": _source(stack, password=stack.settings.replication_password.get_secret_value()),
        "primary_slot_name": SLOT,
        # The primary keeps the row versions that a report still reads, instead of ending the report.
        "hot_standby_feedback": "on",
        "wal_retrieve_retry_interval": "1s",
    }
    return Cluster(
        stack.folder / REPLICA,
        stack.settings.replica_port,
        stack.settings.superuser_password.get_secret_value(),
        settings=cron_settings(stack.settings.database) | following | limits,
        account=stack.account,
    )


def _source(stack: Stack, **more: str) -> str:
    return conninfo.make_conninfo(
        "",
        host=HOST,
        port=stack.settings.postgres_port,
        user=ROLE,
        application_name=SLOT,
        connect_timeout=5,
        **more,
    )


def start(stack: Stack) -> str:
    """Start the standby, and build it first if it is missing or has missed too much WAL.

    The primary runs. Returns a remark for the user, or "". Raises UserError if it cannot be built or started.
    """
    pgdata = stack.folder / REPLICA / "pgdata"
    if pgdata.exists() and not (pgdata / _SIGNAL).exists():
        raise UserError(
            "the standby was promoted, but has not replaced the primary yet",
            hint="./hub replica promote --yes completes it",
        )
    if not standby(stack).is_running():
        stack.settings = settings.move_taken_ports(stack.folder, ["replica_port"])
    stack.cluster.reload()  # a primary that an earlier version started has no limit of kept WAL
    remark = ""
    with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
        _ensure_role(conn, stack)
        limits = conn.execute(
            "select name, setting from pg_catalog.pg_settings where name = any(%s)", [list(_LIMITS)]
        )
        replica = standby(stack, **dict(limits.fetchall()))
        usable = conn.execute(
            "select from pg_catalog.pg_replication_slots"
            " where slot_name = %s and wal_status is distinct from 'lost'",
            [SLOT],
        ).rowcount
        if pgdata.exists() and not usable:
            replica.stop("immediate")
            shutil.rmtree(pgdata)
            remark = "the standby had missed too much WAL, and was built again"
        if not pgdata.exists():
            _drop_slot(conn)
            # The slot keeps WAL since the last checkpoint. Where that is more than HUB_REPLICA_WAL_KEEP, the
            # checkpoint of the copy invalidates the slot, and PostgreSQL 18 refuses to stream from it.
            conn.execute("checkpoint")
            conn.execute("select pg_catalog.pg_create_physical_replication_slot(%s, true)", [SLOT])
            _copy(stack, replica)
    if not replica.start():
        replica.reload()
    return remark


def _ensure_role(conn: psycopg.Connection[Any], stack: Stack) -> None:
    """A login that can stream WAL and do nothing else."""
    if not conn.execute("select from pg_catalog.pg_roles where rolname = %s", [ROLE]).rowcount:
        conn.execute(sql.SQL("create role {} login replication noinherit").format(sql.Identifier(ROLE)))
    ensure_password(conn, ROLE, stack.settings.replication_password.get_secret_value())


@retry(
    retry=retry_if_exception_type(errors.ObjectInUse),
    stop=stop_after_delay(_RELEASE_SECONDS),
    wait=wait_fixed(0.1),
    reraise=True,
)
def _drop_slot(conn: psycopg.Connection[Any]) -> None:
    """Drop the slot if it exists; the server releases it a moment after the standby has stopped."""
    conn.execute(
        "select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots"
        " where slot_name = %s",
        [SLOT],
    )


def _copy(stack: Stack, replica: Cluster) -> None:
    """Copy the primary's data while it runs."""
    stack.account.make_folder(replica.folder)
    making = replica.folder / "pgdata.making"
    shutil.rmtree(making, ignore_errors=True)
    done = stack.account.run(
        [
            postgres.program("pg_basebackup"),
            f"--pgdata={making}",
            f"--dbname={_source(stack)}",
            f"--slot={SLOT}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-password",
        ],
        extra={"PGPASSWORD": stack.settings.replication_password.get_secret_value()},
    )
    if done.returncode:
        raise UserError("the primary could not be copied", hint=(done.stderr or done.stdout).strip())
    (making / _SIGNAL).touch()
    stack.account.own(making / _SIGNAL)
    making.rename(replica.pgdata)


def promote(stack: Stack) -> Path:
    """Make the standby the stack's PostgreSQL; returns the folder that keeps the former primary.

    A primary that still runs is stopped once the standby has caught up, and sends the rest of its WAL before
    it ends, so nothing is lost. What a primary that is dead had not sent is lost. May be repeated if it was
    interrupted. Raises UserError if the stack has no standby, the standby of a running primary does not catch
    up, or a server does not stop or start.
    """
    _require(stack)
    replica = standby(stack)
    replica.start()
    if stack.cluster.is_running():
        _wait_until_caught_up(stack)
    Supervisor(stack).shut_down()
    stack.cluster.stop()
    if (replica.pgdata / _SIGNAL).exists():
        done = stack.account.run([postgres.program("pg_ctl"), "-D", replica.pgdata, "-w", "promote"])
        if done.returncode:
            raise UserError("the standby was not promoted", hint=(done.stderr or done.stdout).strip())
    replica.stop()
    return stack.replace_cluster(replica.folder)


def _wait_until_caught_up(stack: Stack) -> None:
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    follows = (
        "select from pg_catalog.pg_replication_slots as s"
        " join pg_catalog.pg_stat_replication as r on r.pid = s.active_pid and r.state = 'streaming'"
        " where s.slot_name = %s and r.flush_lsn >= pg_catalog.pg_current_wal_lsn() - 16777216"
    )
    with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
        while not conn.execute(follows, [SLOT]).rowcount:
            if time.monotonic() > deadline:
                raise UserError(
                    "the standby does not follow the primary: promoting it would lose data",
                    hint="./hub up builds it again if it has missed too much",
                )
            time.sleep(0.1)


def remove(stack: Stack) -> None:
    """Stop the standby and its gateway, drop its slot and login, and delete its data.

    Raises UserError if the stack has no standby, or a server does not stop or start.
    """
    _require(stack)
    supervisor = Supervisor(stack)
    if supervisor.is_running():
        supervisor.remove("reports")
    replica = standby(stack)
    replica.stop()
    was_down = stack.start_cluster()
    with psycopg.connect(stack.cluster.url(), autocommit=True) as conn:
        _drop_slot(conn)
        conn.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(ROLE)))
    if was_down:
        stack.cluster.stop()
    shutil.rmtree(replica.folder)


def _require(stack: Stack) -> None:
    if not stack.has_replica:
        raise UserError("the stack has no standby", hint="./hub up --with-replica builds one")
