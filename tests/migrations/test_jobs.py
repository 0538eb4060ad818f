"""sql/jobs and pg_cron."""

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hub import paths
from hub.migrate import MigrationError
from hub.migrate.jobs import read_job
from tests.migrations.conftest import Sample, query, run
from tests.support.test_cluster import CRON_DATABASE, needs_cron

JOBS = (
    "select jobname, schedule, command, username, jobid from cron.job where jobname like 'hub:%%' order by 1"
)


def test_migration_without_cron_succeeds_with_a_remark(sample: Sample, empty_database: str) -> None:
    report = sample.migrate(empty_database)
    assert report.jobs_scheduled == []
    assert [remark for remark in report.remarks if "pg_cron is not available" in remark]
    assert query(empty_database, "select app.double(1)") == [(2,)]


def test_required_cron_that_is_missing_fails_after_everything_else_is_applied(
    sample: Sample, empty_database: str
) -> None:
    with pytest.raises(MigrationError, match="pg_cron is not available"):
        sample.migrate(empty_database, require_cron=True)
    assert query(empty_database, "select app.double(1)") == [(2,)]
    assert not sample.migrate(empty_database).changed


@needs_cron
def test_schedule_follows_the_job_files(sample: Sample, cron_database: str) -> None:
    sample.write(
        "schema/43_jobs.sql",
        "create table jobs.schedule (job text primary key, schedule text not null,"
        " command text not null, description text not null);\n",
    )
    sample.repin()
    assert sample.migrate(cron_database, require_cron=True).jobs_scheduled == ["purge"]
    first = query(cron_database, JOBS)
    assert [row[:4] for row in first] == [
        ("hub:purge", "5 4 * * *", "select app.double(21)", "hub_scheduler")
    ]
    assert query(cron_database, "select * from jobs.schedule") == [
        ("purge", "5 4 * * *", "select app.double(21)", "Purges old rows.")
    ]

    sample.write("jobs/more.sql", "-- job: more\n-- schedule: * * * * *\n-- Does\n-- more.\n\nselect 1;\n")
    run(cron_database, "select cron.schedule('by-hand', '* * * * *', 'select 1')")
    assert sample.migrate(cron_database).jobs_scheduled == ["more"]
    assert first[0] in query(cron_database, JOBS), "an unchanged job is left alone"

    sample.remove("jobs/purge.sql")
    sample.write("jobs/more.sql", "-- job: more\n-- schedule: */5 * * * *\n-- Does more.\nselect 2;\n")
    report = sample.migrate(cron_database)
    assert (report.jobs_scheduled, report.jobs_unscheduled) == (["more"], ["purge"])
    assert [row[:3] for row in query(cron_database, JOBS)] == [("hub:more", "*/5 * * * *", "select 2")]
    assert query(cron_database, "select count(*) from cron.job where jobname = 'by-hand'") == [(1,)]
    assert query(cron_database, "select job, command from jobs.schedule") == [("more", "select 2")]
    assert not sample.migrate(cron_database).changed


@needs_cron
@pytest.mark.regression("pg_ash#250")
@pytest.mark.parametrize(
    "databases",
    [["postgres"], ["gone", "postgres"], ["template1"], ["gone", "gone"], ["Renamed Hub"], ["postgres", "x"]],
)
def test_jobs_that_point_to_another_database_are_taken_over(
    sample: Sample, cron_database: str, databases: list[str]
) -> None:
    """As after the database was renamed or restored under another name."""
    sample.write("jobs/more.sql", "-- job: more\n-- schedule: * * * * *\n-- Does more.\nselect 1;\n")
    sample.migrate(cron_database, require_cron=True)
    for job, database in zip(("purge", "more"), databases, strict=False):
        run(cron_database, f"update cron.job set database = '{database}' where jobname = 'hub:{job}'")
    report = sample.migrate(cron_database)
    assert sorted(report.jobs_scheduled) == sorted(("purge", "more")[: len(databases)])
    rows = query(cron_database, "select jobname, database = current_database(), active from cron.job")
    assert sorted(rows) == [("hub:more", True, True), ("hub:purge", True, True)]
    assert not sample.migrate(cron_database).changed


@needs_cron
def test_job_that_cannot_be_scheduled_fails_the_migration(sample: Sample, cron_database: str) -> None:
    sample.migrate(cron_database, require_cron=True)
    run(
        cron_database,
        "create function public.elsewhere() returns trigger language plpgsql as"
        " 'begin new.database := ''postgres''; return new; end';"
        "create trigger elsewhere before insert on cron.job for each row"
        " execute function public.elsewhere()",
    )
    sample.write("jobs/more.sql", "-- job: more\n-- schedule: * * * * *\n-- Does more.\nselect 1;\n")
    with pytest.raises(MigrationError, match="does not run these jobs in this database: hub:more"):
        sample.migrate(cron_database)


@needs_cron
def test_scheduler_runs_jobs_as_the_owner_of_all_objects(sample: Sample, cron_database: str) -> None:
    sample.migrate(cron_database)
    [(settings,)] = query(
        cron_database, "select setconfig from pg_db_role_setting where setrole = 'hub_scheduler'::regrole"
    )
    assert set(settings) == {"role=hub_owner", "jit=off"}
    with psycopg.connect(cron_database, autocommit=True) as conn:
        conn.execute("set role hub_owner")
        assert conn.execute("select count(*) from cron.job where jobname = 'hub:purge'").fetchone() == (1,)
        assert conn.execute("select count(*) >= 0 from cron.job_run_details").fetchone() == (True,)


@needs_cron
def test_login_without_superuser_schedules_jobs_after_the_documented_grants(
    sample: Sample, cron_database: str, manager: str
) -> None:
    run(cron_database, "create extension pg_cron")
    report = sample.migrate(manager)
    assert report.jobs_scheduled == []
    assert [remark for remark in report.remarks if "a superuser must grant its use" in remark]
    page = (paths.root() / "docs/operations/install.md").read_text()
    [grants] = re.findall(r"```sql\ncreate extension pg_cron;.*?\n(.*?)```", page, re.DOTALL)
    run(cron_database, grants.replace(" to owner,", " to hub_test_manager,"))
    assert sample.migrate(manager, require_cron=True).jobs_scheduled == ["purge"]
    rows = query(cron_database, "select jobname, username, database = current_database() from cron.job")
    assert rows == [("hub:purge", "hub_test_manager", True)]
    assert not sample.migrate(manager, require_cron=True).changed


@pytest.fixture
def manager(sample: Sample, cron_database: str) -> Iterator[str]:
    """URL of the cron database for a login that has CREATEROLE and owns it, as on managed servers."""
    sample.migrate(cron_database)  # as superuser, which creates the roles
    run(cron_database, "drop extension pg_cron")
    run(cron_database, "drop role if exists hub_test_manager")
    run(cron_database, "create role hub_test_manager login createrole password 'managed'")
    run(cron_database, "grant hub_owner to hub_test_manager")
    run(cron_database, f'alter database "{CRON_DATABASE}" owner to hub_test_manager')
    yield make_conninfo(cron_database, user="hub_test_manager", password="managed")
    run(cron_database, "drop extension if exists pg_cron cascade")
    run(cron_database, f'alter database "{CRON_DATABASE}" owner to postgres')
    run(cron_database, "drop owned by hub_test_manager")
    run(cron_database, "drop role hub_test_manager")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("select 1;\n", 1, "a job begins with"),
        ("-- job: a\n-- schedule: * * * *\n-- Too few fields.\nselect 1;\n", 1, "a job begins with"),
        ("-- job: a\n-- schedule: * * * * *\nselect 1;\n", 1, "a job begins with"),
        (
            "-- job: a\n-- schedule: * * * * *\n-- Two.\nselect 1;\n\nselect 2;\n",
            6,
            "one command, but the file has 2",
        ),
        ("-- job: a\n-- schedule: * * * * *\n-- None.\n", 4, "one command, but the file has 0"),
    ],
)
def test_invalid_job_file_is_refused_with_its_line(
    sample: Sample, text: str, line: int, message: str
) -> None:
    path = sample.write("jobs/bad.sql", text)
    with pytest.raises(MigrationError, match=message) as caught:
        read_job(path)
    assert caught.value.line == line


def test_job_defined_by_two_files_is_refused(sample: Sample, empty_database: str) -> None:
    sample.write("jobs/zz.sql", "-- job: purge\n-- schedule: * * * * *\n-- Again.\nselect 1;\n")
    with pytest.raises(MigrationError, match="two files define the job purge"):
        sample.migrate(empty_database)
