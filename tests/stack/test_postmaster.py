"""The program that keeps PostgreSQL running under supervisord, alone."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from hub import postgres, postmaster, processes
from hub.cluster import Cluster
from tests.support import test_cluster
from tests.support.waiting import wait_until


@pytest.fixture
def small(folder: Path) -> Iterator[Cluster]:
    """A cluster for one test."""
    cluster = Cluster(folder / "pg", test_cluster.free_port(27000), "secret", settings={"fsync": "off"})
    cluster.initialise()
    cluster.configure()
    yield cluster
    cluster.stop("immediate")


@contextmanager
def keeper(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """The program as a child process; ended like supervisord does it."""
    arguments = (postgres.program("postgres"), cluster.pgdata, cluster.log, cluster.account.name)
    child = subprocess.Popen([sys.executable, "-m", "hub.stack.postmaster", *map(str, arguments)])
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(30)


def accepts(cluster: Cluster) -> bool:
    try:
        psycopg.connect(cluster.url(), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def test_keeper_becomes_the_postmaster_and_shuts_it_down(small: Cluster) -> None:
    with keeper(small) as child:
        wait_until(lambda: accepts(small), 30)
        assert postmaster.running(small.pgdata) == child.pid
    assert child.returncode == 0
    assert not small.is_running()
    assert "database system is shut down" in small.log.read_text()


def test_keeper_waits_beside_a_running_postmaster_and_leaves_it_running(small: Cluster) -> None:
    small.start()
    first = postmaster.running(small.pgdata)
    with keeper(small) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1)
        assert postmaster.running(small.pgdata) == first
    assert child.returncode == 0
    assert accepts(small)


def test_backend_that_computes_on_does_not_prevent_the_next_postmaster(small: Cluster) -> None:
    """It does not notice that its postmaster was killed, and holds the shared memory."""

    def compute() -> None:
        with suppress(psycopg.OperationalError):
            busy.execute("do $$ begin loop perform 1; end loop; end $$")

    small.start()
    killed = postmaster.running(small.pgdata)
    assert killed
    active = "select from pg_stat_activity where pid = %s and state = 'active'"
    with (
        psycopg.connect(small.url(), autocommit=True) as busy,
        psycopg.connect(small.url(), autocommit=True) as other,
        keeper(small) as child,
    ):
        backend, computing = busy.info.backend_pid, threading.Thread(target=compute)
        computing.start()
        try:
            wait_until(lambda: other.execute(active, [backend]).rowcount)
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: accepts(small), 30)
            assert postmaster.running(small.pgdata) == child.pid
        finally:
            processes.send(backend, signal.SIGKILL)
            computing.join()


def test_process_id_that_another_program_has_now_does_not_prevent_start(small: Cluster) -> None:
    """After a restart of the machine; PostgreSQL would take the program for its postmaster."""
    small.start()
    text = postmaster.pid_file(small.pgdata).read_text()
    small.stop()
    unrelated = small.account.run(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"]).stdout.strip()
    try:
        postmaster.pid_file(small.pgdata).write_text(text.replace(text.split()[0], unrelated, 1))
        small.account.own(postmaster.pid_file(small.pgdata))
        with keeper(small):
            wait_until(lambda: accepts(small), 30)
    finally:
        os.kill(int(unrelated), signal.SIGTERM)


def test_program_of_a_person_in_the_data_folder_is_not_ended(small: Cluster) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], cwd=small.pgdata) as person:
        with keeper(small):
            wait_until(lambda: accepts(small), 30)
        assert person.poll() is None
        person.kill()
