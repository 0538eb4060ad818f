"""The stack's PostgreSQL cluster: start, stop, and recovery from kill -9."""

import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hub import paths
from hub.cluster import Cluster, cron_settings
from hub.errors import UserError
from tests.conftest import Clone
from tests.support import test_cluster


@pytest.fixture
def small(folder: Path) -> Iterator[Cluster]:
    """A cluster for one test."""
    cluster = Cluster(folder / "pg", test_cluster.free_port(27000), "it's secret", settings={"fsync": "off"})
    cluster.initialise()
    yield cluster
    cluster.stop("immediate")


def test_cluster_starts_once_recovers_from_kill_9_and_stops(small: Cluster) -> None:
    assert small.start()
    assert not small.start()
    with psycopg.connect(small.url()) as conn:
        shown = conn.execute(
            "select current_setting('timezone'), current_setting('unix_socket_directories'),"
            " current_setting('listen_addresses'), current_setting('password_encryption')"
        ).fetchone()
    assert shown == ("UTC", "", "127.0.0.1", "scram-sha-256")
    pid = int((small.pgdata / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    assert small.start()
    assert small.stop()
    assert not small.stop()
    assert not small.initialise()


def test_start_waits_for_the_port_of_a_killed_server(small: Cluster) -> None:
    """The kernel drops the command line of a killed process before it closes its sockets."""
    (small.pgdata / "postmaster.pid").write_text("2147483647\n")
    with socket.create_server((small.host, small.port)) as closing:
        timer = threading.Timer(0.5, closing.close)
        timer.start()
        assert small.start()
    timer.join()


def test_stale_pid_file_with_a_reused_pid_does_not_prevent_start(small: Cluster) -> None:
    """After a crash of the machine, the pid belongs to an unrelated process."""
    stale = small.pgdata / "postmaster.pid"
    small.start()
    text = stale.read_text()
    small.stop()
    unrelated = small.account.run(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"]).stdout.strip()
    try:
        stale.write_text(text.replace(text.split()[0], unrelated, 1))
        small.account.own(stale)
        assert not small.is_running()
        assert small.start()
    finally:
        os.kill(int(unrelated), signal.SIGTERM)


def test_wrong_password_is_refused(small: Cluster) -> None:
    small.start()
    wrong = small.url().replace("secret", "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_taken_port_is_reported_with_its_number(small: Cluster, cluster: Cluster) -> None:
    small.port = cluster.port
    with pytest.raises(UserError, match=f"port {cluster.port} for PostgreSQL is taken"):
        small.start()


def test_failed_start_shows_the_log_of_the_server(folder: Path) -> None:
    broken = Cluster(
        folder / "pg", test_cluster.free_port(27000), "secret", settings={"no_such_setting": "1"}
    )
    broken.initialise()
    with pytest.raises(UserError) as caught:
        broken.start()
    assert "no_such_setting" in caught.value.hint


def test_cron_is_preloaded_only_if_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.postgres.has_extension", lambda _: False)
    assert cron_settings("hub") == {"shared_preload_libraries": ""}
    monkeypatch.setattr("hub.postgres.has_extension", lambda _: True)
    settings = cron_settings("hub")
    assert settings["shared_preload_libraries"] == "pg_cron,pg_stat_statements"
    assert settings["cron.database_name"] == "hub"


def test_clusters_of_tests_are_on_disk_unless_memory_has_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(test_cluster, "MEMORY", tmp_path)
    monkeypatch.setattr(test_cluster, "ROOM", 2**60)
    assert test_cluster.home() == paths.data_dir().resolve()
    monkeypatch.setattr(test_cluster, "ROOM", 0)
    assert test_cluster.home().parent == tmp_path


def test_clusters_in_memory_are_removed_after_their_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(test_cluster, "MEMORY", tmp_path)
    monkeypatch.setattr(test_cluster, "ROOM", 0)
    for name, data in (("hub-test-gone", tmp_path / "removed"), ("hub-test-kept", tmp_path)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data-folder").write_text(str(data))
    own = test_cluster.home()
    assert set(tmp_path.iterdir()) == {tmp_path / "hub-test-kept", own}


def test_log_holds_no_value_of_a_refused_row(cluster: Cluster, clone: Clone) -> None:
    address = f"{uuid.uuid4().hex}@hub.test"
    insert = "insert into people values (%s)"
    with psycopg.connect(clone(), autocommit=True) as conn, cluster.log.open("rb") as log:
        log.seek(0, os.SEEK_END)
        conn.execute("create temporary table people (email text constraint people_uq unique)")
        conn.execute(insert, [address])
        with pytest.raises(psycopg.errors.UniqueViolation, match=address):
            conn.execute(insert, [address])
        written = log.read().decode(errors="replace")
    assert "people_uq" in written
    assert address not in written
