"""Functions, policies and api follow the files: an upgraded database equals a fresh one."""

import psycopg
import pytest

from devtools.docs.snapshot import schema_sql
from hub.migrate import MigrationError
from tests.conftest import EmptyDatabase
from tests.migrations.conftest import Sample, query, run


def test_changed_function_is_applied_again(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    sample.write(
        "functions/zz_later.sql",
        "create function app.twice(p_value int) returns int language sql as $$ select p_value * 3 $$;\n",
    )
    report = sample.migrate(empty_database)
    assert (report.steps, report.files_changed) == ([], ["functions/zz_later.sql"])
    assert report.objects == ["replaced function app.twice"]
    assert query(empty_database, "select app.double(2)") == [(6,)]


def test_objects_and_grants_of_removed_files_are_dropped(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    sample.remove("functions/things.sql")
    sample.remove("policies/things.sql")
    sample.remove("jobs/purge.sql")
    sample.write(
        "api/things.sql", "create view api.others with (security_invoker = true) as select 1 as one;\n"
    )
    report = sample.migrate(empty_database)
    assert report.files_removed == ["functions/things.sql", "policies/things.sql"]
    gone = "select to_regproc('app.double'), to_regproc('app.tg_more__touch'), to_regclass('api.things')"
    assert query(empty_database, gone) == [(None, None, None)]
    assert query(empty_database, "select count(*) from pg_policy") == [(0,)]
    assert query(empty_database, "select count(*) from pg_trigger where not tgisinternal") == [(0,)]
    assert query(empty_database, "select has_table_privilege('partner', 'app.things', 'select')") == [
        (False,)
    ]
    assert query(empty_database, "select has_schema_privilege('partner', 'app', 'usage')") == [(False,)]


def test_objects_created_by_hand_are_dropped_and_those_of_schema_files_stay(
    sample: Sample, empty_database: str
) -> None:
    sample.migrate(empty_database)
    run(
        empty_database,
        "create function app.by_hand() returns int language sql as 'select 1';"
        "create view api.by_hand as select 1; create policy by_hand on app.more using (true)",
    )
    sample.append("functions/zz_later.sql", "-- a comment\n")
    sample.migrate(empty_database)
    assert query(empty_database, "select to_regproc('app.by_hand'), to_regclass('api.by_hand')") == [
        (None, None)
    ]
    assert query(empty_database, "select polname::text from pg_policy") == [("things__partner_select",)]
    assert query(
        empty_database, "insert into app.things (id) values (7) returning label like 'label %%'"
    ) == [(True,)]
    assert query(empty_database, "select count(*) from app.listed") == [(1,)]


def test_a_file_may_need_objects_of_later_files(sample: Sample, empty_database: str) -> None:
    sample.write("functions/aaa.sql", "create view app.early as select app.late_number() as number;\n")
    sample.write(
        "functions/zzz.sql",
        "create function app.late_number() returns int language sql stable as $$ select 3 $$;\n",
    )
    sample.migrate(empty_database)
    assert query(empty_database, "select number from app.early") == [(3,)]


def test_files_that_need_each_other_are_refused_with_the_first_error(
    sample: Sample, empty_database: str
) -> None:
    sample.write("functions/aaa.sql", "create view app.early as select 1 from app.late;\n")
    sample.write("functions/zzz.sql", "create view app.late as select 1 from app.early;\n")
    with pytest.raises(MigrationError, match=r'aaa\.sql:1: relation "app\.late" does not exist'):
        sample.migrate(empty_database)
    assert query(empty_database, "select count(*) from migration.repeatable") == [(0,)]


def test_grants_to_roles_of_the_dba_survive(sample: Sample, empty_database: str) -> None:
    sample.migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("drop role if exists hub_test_reporter")
        conn.execute("create role hub_test_reporter")
        conn.execute("grant select on app.things to hub_test_reporter")
        sample.append("functions/zz_later.sql", "-- a comment\n")
        sample.migrate(empty_database)
        kept = conn.execute(
            "select has_table_privilege('hub_test_reporter', 'app.things', 'select')"
        ).fetchone()
        conn.execute("drop owned by hub_test_reporter")
        conn.execute("drop role hub_test_reporter")
    assert kept == (True,)


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        (
            "api/things.sql",
            "select 1;\ncreate view api.v as\nselect nothing from app.things;\n",
            3,
            "does not exist",
        ),
        (
            "policies/things.sql",
            "grant select on app.things to partner;\ngrant select on app.nix to partner;\n",
            2,
            "nix",
        ),
        (
            "functions/zz_later.sql",
            "create function app.twice(p_value int) returns int language sql as $$ select p_value * 2 $$;\n"
            "create function app.bad() returns int language plpgsql as $$\nbegin\n  retrun 1;\nend $$;\n",
            4,
            r"app\.bad\(\): syntax error",
        ),
        (
            "functions/zz_later.sql",
            "\ncreate function app.twice(p_value int) returns int language sql immutable as $$\n"
            "  select p_value\n    * app.nowhere() $$;\n",
            4,
            r"app\.twice\(integer\): function app\.nowhere\(\) does not exist",
        ),
        (
            "functions/zz_later.sql",
            "create function app.twice(p_value int) returns int language plpgsql as $$\ndeclare\n"
            "  v_row app.nowhere%rowtype;\nbegin\n  return 1;\nend $$;\n",
            3,
            "nowhere",
        ),
    ],
)
def test_failing_repeatable_file_is_reported_with_its_line_and_changes_nothing(
    sample: Sample, empty_database: str, name: str, text: str, line: int, message: str
) -> None:
    sample.migrate(empty_database)
    before = schema_sql(empty_database)
    ledger = query(empty_database, "select path, sha256 from migration.repeatable order by path")
    sample.write(name, text)
    with pytest.raises(MigrationError, match=message) as caught:
        sample.migrate(empty_database)
    assert caught.value.path is not None
    assert (caught.value.path.name, caught.value.line) == (name.split("/")[1], line)
    assert schema_sql(empty_database) == before
    assert query(empty_database, "select path, sha256 from migration.repeatable order by path") == ledger


def test_upgraded_database_equals_a_fresh_one(sample: Sample, empty_databases: EmptyDatabase) -> None:
    upgraded, fresh = empty_databases(), empty_databases()
    sample.migrate(upgraded)
    sample.write("schema/20_new.sql", "-- New.\ncreate table app.new_one (id int);\n")
    sample.repin()
    sample.remove("functions/things.sql")
    sample.write(
        "functions/zz_later.sql", "create function app.other() returns int language sql as 'select 1';\n"
    )
    sample.write(
        "policies/new.sql", "grant select on app.new_one to agent;\ngrant usage on schema app to agent;\n"
    )
    sample.write("policies/things.sql", "alter table app.things enable row level security;\n")
    sample.write(
        "api/things.sql",
        "create view api.new_one as select id from app.new_one;\ncomment on schema api is 'x';",
    )
    sample.migrate(upgraded)
    sample.migrate(fresh)
    assert schema_sql(upgraded) == schema_sql(fresh)


def test_new_tables_get_their_grants_after_an_interrupted_migration(
    sample: Sample, empty_database: str
) -> None:
    """Steps stay committed if the repeatable files fail: the next migration must still apply those."""
    sample.write("policies/things.sql", "grant select on all tables in schema app to agent;\n")
    sample.migrate(empty_database)
    sample.write("schema/20_new.sql", "-- New.\ncreate table app.new_one (id int);\n")
    sample.repin()
    kept = (sample.tree.sql / "api/things.sql").read_text()
    sample.write("api/things.sql", "broken")
    with pytest.raises(MigrationError):
        sample.migrate(empty_database)
    sample.write("api/things.sql", kept)
    assert sample.migrate(empty_database).objects
    assert query(empty_database, "select has_table_privilege('agent', 'app.new_one', 'select')") == [(True,)]


def test_postgrest_is_notified_only_of_a_change(sample: Sample, empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as listener:
        listener.execute("listen pgrst")
        sample.migrate(empty_database)
        assert [note.payload for note in listener.notifies(timeout=1)] == ["reload schema"]
        sample.migrate(empty_database)
        assert [note.payload for note in listener.notifies(timeout=0.3)] == []
