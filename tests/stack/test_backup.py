"""Backups: encrypted, and restored to any moment with every row before it and none after it."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from hub import settings
from hub.backup import erasures
from hub.backup.repository import OFF, Repository, Server
from hub.backup.restore import archive_until_now, parse_moment, restored
from hub.cluster import Cluster, cron_settings, new_password
from hub.commands import backup as commands
from hub.doctor import database
from hub.errors import UserError
from hub.migrate import migrate
from hub.osuser import server_account
from hub.stack.layout import Stack
from hub.stack.up import migrate_stack
from tests.stack.conftest import command_line
from tests.support import test_cluster
from tests.support.context import Connection, make_context
from tests.support.recovery import Orders, assert_as_of, now
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(not shutil.which("pgbackrest"), reason="pgBackRest is not installed")

PASSPHRASE = SecretStr("for-tests-only-0123456789")


def erase(conn: Connection, partner: str) -> None:
    conn.execute("select api.erase_partner(partner_id => %s, reason => 'asked on 2026-11-01')", [partner])


def assert_restored_to_a_moment_under_load(
    stack: Stack, take: Callable[[], object], restore: Callable[[str], str]
) -> None:
    """A restore undoes what came after the moment, nothing before it, and no erasure."""
    url = stack.settings.superuser_url
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, stock=10**6, credit=10**12)
        leaver = context.partners[2].sub
        conn.execute("update app.partners set business_name = 'Salon Kenanga' where id = %s", [leaver])
    orders = Orders(url, context.partners[0])
    orders.start()
    take()
    ended = stack.backups.backups()[-1].ended_at
    wait_until(lambda: datetime.now(UTC) > ended + timedelta(seconds=1.1))
    with psycopg.connect(url, autocommit=True) as conn:
        moment = now(conn)
        time.sleep(0.3)
        erase(conn, str(leaver))
    committed = orders.stop()
    assert any(c.acknowledged_at < moment for c in committed)
    assert any(c.sent_at > moment for c in committed)

    assert "erasures repeated: 1" in restore(moment.isoformat())
    assert stack.backups.timeline_at(moment) == 1, "the next restore looks for the moment where it was"

    with psycopg.connect(url, autocommit=True) as conn:
        assert_as_of(conn, moment, committed)
        name = conn.execute("select business_name from app.partners where id = %s", [leaver])
        assert name.fetchone() == ("***",), "the erasure came after the moment, and holds"
        left = conn.execute(
            "select name from pg_file_settings where applied and name in"
            " ('restore_command', 'recovery_target_time', 'recovery_target_timeline')"
        )
        assert left.fetchall() == [], "the next standby would not start"
        launcher = "select count(*) from pg_stat_activity where backend_type = 'pg_cron launcher'"
        assert conn.execute(launcher).fetchone() == (test_cluster.LAUNCHERS,)
        archive = conn.execute("select setting from pg_settings where name = 'archive_command'").fetchone()
        assert archive == (stack.backups.archive_settings()["archive_command"],)
        assert database.archive(conn).passed
        conn.execute("alter system set archive_command = '/bin/false'")
        conn.execute(
            "select pg_reload_conf(), pg_switch_wal() from pg_logical_emit_message(true, 'hub', 'x')"
        )
        wait_until(lambda: not database.archive(conn).passed)
        assert "WAL is not archived since" in database.archive(conn).text
        conn.execute("alter system reset archive_command")
        conn.execute("select pg_reload_conf()")
    assert [backup.kind for backup in stack.backups.backups()] == ["full", "incr"]
    assert len(list(stack.folder.glob("postgres.*-*"))) == 1


def test_restore_undoes_what_came_after_the_moment_but_no_erasure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PostgreSQL alone; the long form restores a whole stack."""
    with test_cluster.scratch_folder() as folder:
        monkeypatch.setenv("HUB_DATA_DIR", str(folder))
        monkeypatch.setenv("HUB_POSTGRES_PORT", str(test_cluster.free_port(20000)))
        stack = Stack.make()

        def start() -> None:
            running = Stack.existing()
            running.start_cluster()
            running.cluster.ensure_database("hub")
            migrate_stack(running)

        def restore(moment: str) -> str:
            commands.restore(to=moment, timeline=None, drill=False, yes=True)
            return capsys.readouterr().out

        monkeypatch.setattr(commands, "up", start)
        start()
        try:
            assert_restored_to_a_moment_under_load(
                stack, lambda: commands.backup(full=False, list_only=False), restore
            )
        finally:
            # Not "immediate", which does not wait for the archive command: it writes into the folder.
            Stack.existing().cluster.stop()


@pytest.mark.long_form
def test_restore_of_a_running_stack_starts_it_again() -> None:
    with test_cluster.scratch_folder() as folder, command_line(folder, HUB_GATEWAY="standin") as hub:
        assert "no stack" in hub("backup").stderr
        assert hub("up").returncode == 0
        refused = hub("restore", "--yes")
        assert (refused.returncode, "there is no backup" in refused.stderr) == (1, True)

        def succeed(*arguments: str) -> str:
            done = hub(*arguments)
            assert done.returncode == 0, done.stderr
            return done.stdout

        def restore(moment: str) -> str:
            assert "to confirm: --yes" in hub("restore", "--to", moment).stderr
            assert "the stack is unchanged" in succeed("restore", "--to", moment, "--drill")
            return succeed("restore", "--to", moment, "--yes")

        stack = Stack(folder, settings.read(folder))
        assert_restored_to_a_moment_under_load(stack, lambda: succeed("backup"), restore)
        assert _launchers(stack.cluster.url()) == test_cluster.LAUNCHERS
        # A state that violates an invariant is not put in place of the present data.
        with psycopg.connect(stack.settings.superuser_url, autocommit=True) as conn:
            conn.execute("alter table app.partners disable trigger user")
            conn.execute("update app.partners set point_balance = point_balance + 7")
            broken = now(conn).isoformat()
            conn.execute("update app.partners set point_balance = point_balance - 7")
            conn.execute("alter table app.partners enable trigger user")
        kept = set(folder.glob("postgres.*-*"))
        violated = hub("restore", "--to", broken, "--yes")
        assert (violated.returncode, "violates invariants: point_balance" in violated.stderr) == (1, True)
        assert "the present data are unchanged" in violated.stderr
        assert set(folder.glob("postgres.*-*")) == kept
        succeed("up")
        succeed("check")
        succeed("status")
        succeed("check")
        # A new machine: the secrets and the backups are copied there, by the one who calls.
        hub("down")
        for path in stack.backups.storage.rglob("*"):
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
        shutil.rmtree(folder / "postgres")
        shutil.rmtree(folder / "pgbackrest")
        unknown = hub("restore", "--to", "2026-01-01 00:00", "--yes")
        assert "erasures after that moment may be unknown" in unknown.stderr
        succeed("restore", "--yes")
        with psycopg.connect(stack.settings.superuser_url) as conn:
            assert conn.execute("select count(*) from app.partners").fetchone() == (3,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run under another account")
def test_backups_that_were_copied_to_a_new_machine_are_handed_to_the_servers_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path))
    backups = Stack.make().backups
    copied = backups.storage / "repository/backup/hub"
    copied.mkdir(parents=True)
    (copied / "backup.info").touch()
    (copied / "latest").symlink_to("elsewhere")
    with pytest.raises(UserError, match="in the future"):
        commands.restore(to="2999-01-01", timeline=None, drill=True, yes=False)
    owners = {path.lstat().st_uid for path in (backups.storage, *backups.storage.rglob("*"))}
    assert owners == {backups.account.uid}


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no time"):
        parse_moment(text)


def test_moment_without_zone_is_in_the_zone_of_the_machine() -> None:
    assert parse_moment("2026-11-27 14:03:00+07:00") == datetime(2026, 11, 27, 7, 3, tzinfo=UTC)
    local = datetime(2026, 11, 27, 14, 3).astimezone()
    assert parse_moment("2026-11-27 14:03:00") == local


def test_backups_are_encrypted_and_their_passphrase_is_private(tmp_path: Path) -> None:
    repository = repository_of(tmp_path, Server(tmp_path / "pgdata", "127.0.0.1", 1, "postgres", "x"))
    assert repository.archive_settings() == OFF, "WAL is kept for nothing until there is a repository"
    repository.write()
    assert "repo1-cipher-type=aes-256-cbc" in repository.conf.read_text()
    assert repository.conf.stat().st_mode & 0o777 == 0o600
    assert PASSPHRASE.get_secret_value() not in repr(repository)
    push = repository.archive_settings()["archive_command"]
    assert push.endswith(" archive-push %p")
    assert repository.archive_settings()["archive_timeout"] == "60"
    with pytest.raises(UserError, match="fewer than 20 characters"):
        repository_of(tmp_path, repository.server, SecretStr("short")).write()


def test_moment_before_a_restore_is_looked_for_on_the_timeline_of_that_time(tmp_path: Path) -> None:
    repository = repository_of(tmp_path, Server(tmp_path / "pgdata", "127.0.0.1", 1, "postgres", "x"))
    repository.write()
    ends = [(1, "2026-11-01T10:00:00+00:00"), (2, "2026-11-02T10:00:00+00:00")]
    lines = [json.dumps({"timeline": timeline, "ended_at": ended}) + "\n" for timeline, ended in ends]
    (repository.storage / "timelines.jsonl").write_text("".join(lines))
    day = datetime(2026, 11, 1, tzinfo=UTC)
    assert [repository.timeline_at(day + timedelta(hours=h)) for h in (9, 11, 33, 35)] == [1, 2, 2, None]


def repository_of(folder: Path, server: Server, passphrase: SecretStr = PASSPHRASE) -> Repository:
    return Repository(server, folder / "pgbackrest", folder / "backup", passphrase)


@pytest.fixture(scope="module")
def backed_up() -> Iterator[tuple[Cluster, Repository]]:
    """A migrated cluster with pg_cron that archives its WAL, and its repository without a backup."""
    with test_cluster.scratch_folder() as folder:
        port, account = test_cluster.free_port(29000), server_account()
        cluster = Cluster(folder / "postgres", port, new_password(), settings=cron_settings("hub") | OFF)
        server = Server(cluster.pgdata, cluster.host, port, cluster.superuser, cluster.password)
        repository = repository_of(folder, server)
        account.own(folder)
        try:
            cluster.initialise()
            cluster.start()
            cluster.ensure_database("hub")
            migrate(cluster.url("hub"))
            repository.write()
            repository.create()
            cluster.settings = {**cluster.settings, **repository.archive_settings()}
            cluster.reload()
            yield cluster, repository
        finally:
            cluster.stop("immediate")


@pytest.mark.long_form
@pytest.mark.timeout(1200)
def test_twenty_restores_to_random_moments_under_load(backed_up: tuple[Cluster, Repository]) -> None:
    cluster, repository = backed_up
    dice = random.Random(20261127)  # noqa: S311  repeatable, not secret
    url = cluster.url("hub")
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, stock=10**7, credit=10**12)
        loads = [Orders(url, buyer) for buyer in context.partners[:2]]
        for load in loads:
            load.start()
        repository.take()
        first = now(conn) + timedelta(seconds=1.5)
        time.sleep(20)
        repository.take()  # an incremental one, in the middle
        time.sleep(20)
        erase(conn, str(context.partners[2].sub))
        last = now(conn)
        committed = [c for load in loads for c in load.stop()]
        assert erasures.record(conn, repository.storage, repository.account) == 1
        archive_until_now(conn)
    took = []
    for _ in range(20):
        moment = first + (last - first) * dice.random()
        started = time.monotonic()
        folder = cluster.folder.parent / "drill"
        with restored(
            repository, cluster, folder, test_cluster.free_port(29500), moment, drill=True
        ) as server:
            assert server.check("hub") == []
            with psycopg.connect(server.cluster.url("hub")) as conn:
                assert_as_of(conn, moment, committed)
                assert len(erasures.missing(conn, repository.storage)) == 1
        took.append(time.monotonic() - started)
    print(f"{len(committed)} orders; 20 restores of {min(took):.1f} to {max(took):.1f} s")


@pytest.mark.long_form
def test_second_restore_reaches_the_past_that_the_first_has_left(
    backed_up: tuple[Cluster, Repository],
) -> None:
    """Each restore begins a timeline; a moment between its target and the restore is on the one before."""
    cluster, repository = backed_up
    with psycopg.connect(cluster.url("hub"), autocommit=True) as conn:
        conn.execute("create table public.moments (id int)")
        repository.take(full=True)
        time.sleep(2)
        before = now(conn)
        time.sleep(0.2)
        conn.execute("insert into public.moments values (1)")
        time.sleep(0.2)
        between = now(conn)
        time.sleep(0.2)
        conn.execute("insert into public.moments values (2)")
        archive_until_now(conn)

    def rows(moment: datetime | None, *, promote: bool = False) -> list[int]:
        folder = cluster.folder.parent / "restored"
        port = test_cluster.free_port(29500)
        with restored(repository, cluster, folder, port, moment, drill=not promote) as server:
            if promote:
                repository.record_end_of_timeline()
                server.promote()
                assert not _launchers(server.cluster.url()), "no job runs before the erasures are repeated"
            with psycopg.connect(server.cluster.url("hub"), autocommit=True) as conn:
                found = [row[0] for row in conn.execute("select id from public.moments order by id")]
                if promote:
                    conn.execute("insert into public.moments values (10)")
                    archive_until_now(conn)
            return found

    assert rows(before, promote=True) == []
    assert rows(None) == [10], "the end of the archive is that of the new timeline"
    assert rows(between) == [1], "the moment is on the timeline that the restore has left"
    assert rows(before) == []


def _launchers(url: str) -> int:
    """How many pg_cron launchers run: one, or none where the library is not loaded."""
    with psycopg.connect(url) as conn:
        query = "select count(*) from pg_stat_activity where backend_type = 'pg_cron launcher'"
        return int(conn.execute(query).fetchall()[0][0])
