"""Once-only steps: empty database, second run, concurrent runs, and what must be refused."""

import subprocess
import sys
import threading
import time

import psycopg
import pytest

from hub.errors import UserError
from hub.migrate import MigrationError, Report
from hub.migrate import runner as runner_module
from hub.migrate.bootstrap import bootstrap
from tests.conftest import EmptyDatabase
from tests.migrations.conftest import Sample, query


def test_empty_database_is_migrated_and_a_second_run_changes_nothing(
    sample: Sample, empty_database: str
) -> None:
    first = sample.migrate(empty_database)
    assert first.steps == ["0000_base", "0010_more"]
    assert len(first.files_changed) == 4
    assert first.objects == ["created the objects of 4 files"]
    again = sample.migrate(empty_database)
    assert not again.changed
    assert again.lines()[0] == "nothing to do"


def test_hub_owner_owns_all_objects_and_public_has_no_privileges(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    owners = query(
        empty_database,
        "select distinct relowner::regrole::text from pg_class"
        " where relnamespace::regnamespace::text in ('app', 'api', 'migration')"
        " union select proowner::regrole::text from pg_proc where pronamespace = 'app'::regnamespace",
    )
    assert owners == [("hub_owner",)]
    assert query(empty_database, "select has_function_privilege('anon', 'app.double(int)', 'execute')") == [
        (False,)
    ]
    assert query(empty_database, "select has_schema_privilege('anon', 'public', 'usage')") == [(False,)]
    assert query(
        empty_database,
        "select extname from pg_extension where extnamespace = 'extensions'::regnamespace order by 1",
    ) == [("btree_gist",), ("pg_trgm",), ("pgcrypto",)]


def test_percent_signs_of_a_schema_file_are_kept(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    assert query(empty_database, "insert into app.things (id) values (1) returning discount") == [("10%",)]


def test_concurrent_migrations_both_succeed(sample: Sample, empty_database: str) -> None:
    """Two processes: one applies the steps, the other waits and finds nothing to do."""
    code = (
        "import sys; from pathlib import Path; from hub.migrate import migrate;"
        "r = migrate(sys.argv[1], sql_root=Path(sys.argv[2]), migrations_root=Path(sys.argv[3]), say=print);"
        "print('\\n'.join(r.lines()))"
    )
    command = [sys.executable, "-c", code, empty_database, str(sample.tree.sql), str(sample.tree.migrations)]
    sample.append("schema/10_more.sql", "select pg_sleep(1);\n")
    sample.repin()
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in "ab"
    ]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted("applied 0000_base" in output for output in outputs) == [False, True]
    waited = next(output for output in outputs if "applied 0000_base" not in output)
    assert "waiting" in waited
    assert "nothing to do" in waited


def test_concurrent_migrations_of_two_databases_in_one_cluster_succeed(
    sample: Sample, empty_databases: EmptyDatabase
) -> None:
    """Roles belong to the cluster: `tuple concurrently updated` must not fail a migration."""
    other, url = empty_databases(), empty_databases()
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            sample.migrate(url)
        except BaseException as error:
            failures.append(error)

    with psycopg.connect(other) as conn:
        conn.execute("alter role erp reset all")
        conn.commit()
        conn.execute("alter role erp set lock_timeout = '5s'")  # as another migration does before its commit
        thread = threading.Thread(target=migrate)
        thread.start()
        waiting = "select from pg_stat_activity where wait_event = 'transactionid' and application_name = %s"
        while not query(other, waiting.replace("select", "select 1"), "hub migrate"):
            assert thread.is_alive(), failures
            time.sleep(0.05)
        conn.commit()
    thread.join()
    assert failures == []
    assert query(url, "select to_regclass('app.things')") == [("app.things",)]


def test_database_ahead_of_the_checkout_is_refused(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    (sample.tree.migrations / "0010_more.py").unlink()
    sample.remove("schema/10_more.sql")
    with pytest.raises(MigrationError, match=r"ahead of this checkout: it has 0010_more"):
        sample.migrate(empty_database)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("-- one\ncreate table app.ok (id int);\n\ncreate tabel app.broken (id int);\n", 4, "syntax error"),
        (
            "-- one\ncreate table app.ok (id int);\n\ninsert into app.ok values\n  (1),\n  ('x');\n",
            6,
            "invalid input",
        ),
        ("create table app.ok (id int);\n\ncreate table app.ok (id int);\n", 3, "already exists"),
        (
            "create function app.f() returns int language sql begin atomic\n  select 1;\nend;\n/* ; */\n"
            "select ';' || $x$ ; $x$;\n\ncreate table app.things (id int);\n",
            7,
            "already exists",
        ),
        ("do $$\nbegin\n  perform 1 / 0;\nend $$;\n", 1, "division by zero"),
        (
            "create function app.f() returns int language plpgsql as $$\nbegin\n  retrun 1;\nend $$;\n",
            3,
            "syntax error",
        ),
        ("create table app.ok (id int);\ncommit;\n", 2, "'commit' is not allowed"),
        ("-- é 漢字\ncreate table app.ok (id int);\nselect * from app.nowhere;\n", 3, "does not exist"),
    ],
)
def test_failing_schema_file_is_reported_with_its_line_and_rolled_back(
    sample: Sample, empty_database: str, text: str, line: int, message: str
) -> None:
    sample.write("schema/10_more.sql", text)
    sample.repin()
    with pytest.raises(MigrationError, match=message) as caught:
        sample.migrate(empty_database)
    assert caught.value.path is not None
    assert (caught.value.path.name, caught.value.line) == ("10_more.sql", line)
    assert f"10_more.sql:{line}: " in str(caught.value)
    assert query(empty_database, "select to_regclass('app.ok'), to_regproc('app.f')") == [(None, None)]
    assert query(empty_database, "select migration_id from migration._yoyo_migration") == [("0000_base",)]
    sample.write("schema/10_more.sql", "create table app.ok (id int);\n")
    sample.remove("functions/things.sql")
    sample.repin()
    assert sample.migrate(empty_database).steps == ["0010_more"]


@pytest.mark.parametrize(
    "text",
    [
        "create policy p on app.things using (true);\n",
        "create function app.t() returns trigger language plpgsql as $$ begin return new; end $$;\n"
        "create trigger t before insert on app.things for each row execute function app.t();\n",
    ],
)
def test_schema_file_that_creates_a_trigger_or_policy_is_refused(
    sample: Sample, empty_database: str, text: str
) -> None:
    sample.append("schema/10_more.sql", text)
    sample.repin()
    with pytest.raises(MigrationError, match=r"10_more\.sql: creates the (policy|trigger)"):
        sample.migrate(empty_database)


def test_lock_row_of_a_killed_yoyo_is_removed(sample: Sample, empty_database: str) -> None:
    """yoyo locks by a row while it creates its tables; the row of a killed process would block it."""
    with psycopg.connect(empty_database, autocommit=True) as conn:
        bootstrap(conn, sample.tree, {})
        conn.execute("set role hub_owner")
        conn.execute(
            "create table migration.yoyo_lock (locked int primary key, ctime timestamp, pid int not null)"
        )
        conn.execute("insert into migration.yoyo_lock values (1, now(), 1)")
    assert sample.migrate(empty_database).steps == ["0000_base", "0010_more"]


def test_step_and_its_mark_commit_together(
    sample: Sample, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """yoyo marks a step after its commit: a crash between the two would apply it twice."""
    from hub.migrate.history import _Backend  # noqa: PLC0415

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_Backend, "mark_one", crash)
        with pytest.raises(KeyboardInterrupt):
            sample.migrate(empty_database)
    assert query(empty_database, "select to_regclass('app.things')") == [(None,)]
    assert sample.migrate(empty_database).steps == ["0000_base", "0010_more"]


def test_unreachable_database_is_a_user_error(sample: Sample) -> None:
    with pytest.raises(UserError, match="cannot connect to the database"):
        sample.migrate("postgresql://unknown@127.0.0.1:1/nowhere")
    with pytest.raises(UserError, match="cannot connect to the database"):
        sample.migrate("this is no url")


def test_database_owner_without_superuser_can_migrate(sample: Sample, empty_database: str) -> None:
    """On managed servers, the login has CREATEROLE and owns the database."""
    sample.migrate(empty_database)  # as superuser, which creates the roles
    with psycopg.connect(empty_database, autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute("drop role if exists hub_test_manager")
        conn.execute("create role hub_test_manager login createrole password 'managed'")
        conn.execute("grant hub_owner to hub_test_manager")
        conn.execute(
            psycopg.sql.SQL("alter database {} owner to hub_test_manager").format(
                psycopg.sql.Identifier(name)
            )
        )
        port = conn.info.port
    try:
        managed = f"postgresql://hub_test_manager:managed@127.0.0.1:{port}/{name}"
        assert not sample.migrate(managed).changed
        sample.write("schema/20_new.sql", "create table app.new_one (id int);\n")
        sample.repin()
        assert sample.migrate(managed).steps == ["0020_new"]
    finally:
        with psycopg.connect(empty_database, autocommit=True) as conn:
            conn.execute("reassign owned by hub_test_manager to postgres")
            conn.execute("drop owned by hub_test_manager")
            conn.execute("drop role hub_test_manager")


def test_failed_migration_releases_the_lock(sample: Sample, empty_database: str) -> None:
    sample.write("api/things.sql", "create view api.things as selec 1")
    for _ in range(2):
        with pytest.raises(MigrationError, match="syntax error"):
            sample.migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        assert conn.execute("select pg_try_advisory_lock(%s)", [runner_module._LOCK_KEY]).fetchone() == (
            True,
        )


def test_report_lists_what_was_applied() -> None:
    report = Report(steps=["0001_a"], objects=["replaced function app.a"], jobs_unscheduled=["b"])
    assert report.lines() == ["applied 0001_a", "replaced function app.a", "unscheduled hub:b"]
    many = Report(objects=[f"replaced function app.f{number}" for number in range(23)])
    assert many.lines()[-1] == "and 3 more of functions, policies and api"
