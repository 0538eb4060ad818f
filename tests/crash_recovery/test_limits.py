"""Limits of the machine under load: neither a full disk nor a lack of connections loses anything."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devtools.crash_test.environment import Environment
from devtools.crash_test.load import Acknowledged, under_load
from devtools.crash_test.verify import drain_and_verify
from tests.support import test_cluster
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long_form, pytest.mark.timeout(400)]

DISK_MEGABYTES = 400
ERRORS = {"503 PGRST000", "503 PGRST001", "503 PGRST002", "504 PGRST003", "503 53100"}
"""What gateway and cache answer while the database cannot work (docs/api/errors.md)."""
ANSWER_SECONDS = 25
"""The longest time until an answer, by the same page."""
_FULL_SECONDS = 6


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A disk of DISK_MEGABYTES in memory at `path`. Skips the test where it cannot be mounted."""
    path.mkdir(mode=0o755)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", path],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@contextlib.contextmanager
def loaded(environment: Environment, acknowledged: Acknowledged) -> Iterator[None]:
    """Buyers, clerks and jobs at work, with orders before the block and after it."""
    with under_load(environment, acknowledged, partners=6, seed=1):
        acknowledged.await_orders(30, 90)
        yield
        acknowledged.await_orders(30, 90)


def assert_clear_errors(acknowledged: Acknowledged) -> None:
    """Every caller over HTTP had an answer in time, or an error of ERRORS."""
    seen = {what.partition(": ")[2] for what in acknowledged.errors if ": " in what}
    assert seen <= ERRORS
    assert max(acknowledged.slowest["gateway"], acknowledged.slowest["cache"]) < ANSWER_SECONDS


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a disk needs root")
def test_full_disk_loses_nothing_and_work_goes_on_when_there_is_room() -> None:
    acknowledged = Acknowledged()
    with test_cluster.scratch_folder(on_disk=True) as folder, small_disk(folder / "postgres"):
        environment = Environment(folder)
        environment.cluster.account.own(folder / "postgres")
        restarts = 0
        try:
            environment.build()
            with loaded(environment, acknowledged):
                filler = folder / "postgres" / "filler"
                with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(65536))
                wait_until(lambda: "No space left on device" in environment.cluster.log.read_text(), 60)
                time.sleep(_FULL_SECONDS)
                filler.unlink()
                # A server that could not write WAL ends; whatever supervises it starts it again.
                if environment.server is None or environment.server.poll() is not None:
                    restarts += 1
                    environment.start_server()
            found = drain_and_verify(environment, acknowledged, 120)
        finally:
            environment.tear_down()
    assert found.violations == []
    assert found.orders_acknowledged >= 60
    print(f"{found.orders_acknowledged} orders, {restarts} restarts; {acknowledged.seen()}")
    assert_clear_errors(acknowledged)


def test_no_free_connection_loses_nothing_and_work_goes_on_when_there_is_one() -> None:
    acknowledged = Acknowledged()
    with test_cluster.scratch_folder(on_disk=True) as folder:
        environment = Environment(folder)
        try:
            environment.build()
            with loaded(environment, acknowledged):
                held: list[psycopg.Connection[tuple[object, ...]]] = []
                refused = 0
                # The programs lose their connections, and find all others taken when they connect again.
                with psycopg.connect(environment.cluster.url(), autocommit=True) as conn:
                    conn.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity"
                        " where usename = 'authenticator'"
                    )
                until = time.monotonic() + 60
                while time.monotonic() < until:
                    try:
                        held.append(psycopg.connect(environment.cluster.url(), connect_timeout=5))
                    except psycopg.OperationalError:
                        until = until if refused else time.monotonic() + _FULL_SECONDS
                        refused += 1
                        time.sleep(0.02)
                for conn in held:
                    conn.close()
            found = drain_and_verify(environment, acknowledged, 120)
        finally:
            environment.tear_down()
    assert refused > 0
    assert len(held) > 20
    assert found.violations == []
    assert found.orders_acknowledged >= 60
    print(f"{len(held)} held, {refused} refused; {acknowledged.seen()}")
    assert_clear_errors(acknowledged)
