"""The product's own SQL: migrated from an empty database, its conventions and generated documents."""

import re

import psycopg
import pytest

from devtools.docs import snapshot
from hub import paths
from hub.doctor.definitions import CHECKS
from hub.migrate import migrate
from hub.migrate.jobs import read_jobs
from hub.migrate.tree import Tree
from tests.conftest import Clone
from tests.migrations.conftest import query, run
from tests.support import test_cluster

TREE = Tree(paths.sql_root(), paths.migrations_root())


def test_second_migration_changes_nothing(clone: Clone) -> None:
    url = clone()
    report = migrate(
        url, jwt_secret=test_cluster.JWT_SECRET, authenticator_password=test_cluster.AUTHENTICATOR_PASSWORD
    )
    assert report.lines()[0] == "nothing to do"


def test_migration_leaves_no_table_without_statistics(clone: Clone) -> None:
    unknown = (
        "select oid::regclass::text from pg_class where relnamespace::regnamespace::text"
        " in ('app', 'auth', 'jobs') and relkind in ('r', 'm') and reltuples < 0"
    )
    url = clone()
    assert query(url, unknown) == []
    run(
        url,
        "create table app.audit_logs_new partition of app.audit_logs for values from ('2001-01-01')"
        " to ('2001-02-01'); alter table app.audit_logs_new owner to hub_owner",
    )
    assert query(url, unknown) == [("app.audit_logs_new",)]
    migrate(url)
    assert query(url, unknown) == []


@pytest.mark.parametrize(
    "forget",
    [
        pytest.param("delete from migration.repeatable_object", id="all at once"),
        pytest.param(
            "update migration.repeatable_object set source = 'x' where source not in ('', 'blocks')",
            id="one after another",
            marks=pytest.mark.long_form,
        ),
    ],
)
def test_recreating_repeatable_objects_changes_nothing(clone: Clone, forget: str) -> None:
    """A dependency on the order of files, or on earlier objects, would show as a difference."""
    url = clone()
    before = snapshot.schema_sql(url)
    run(url, f"{forget}; update migration.repeatable set sha256 = ''")
    assert migrate(url).files_changed == sorted(TREE.repeatable_files())
    assert snapshot.schema_sql(url) == before


@pytest.mark.parametrize("name", CHECKS)
def test_database_passes_the_checks_of_doctor(shared_database: str, name: str) -> None:
    assert query(shared_database, CHECKS[name].replace("%", "%%")) == []


def test_signing_secret_is_stored_and_no_role_can_read_it(shared_database: str) -> None:
    assert query(shared_database, "select secret from auth.jwt_secret") == [(test_cluster.JWT_SECRET,)]
    for role in (
        "anon",
        "partner",
        "agent",
        "admin",
        "superadmin",
        "subdist",
        "erp",
        "messenger",
        "cache",
        "authenticator",
    ):
        readable = query(shared_database, "select has_table_privilege(%s, 'auth.jwt_secret', 'select')", role)
        assert readable == [(False,)], role


def test_changed_signing_secret_replaces_the_stored_one(clone: Clone) -> None:
    url = clone()
    assert migrate(url, jwt_secret="another-secret-of-more-than-32-characters").secret_stored
    assert query(url, "select secret from auth.jwt_secret") == [
        ("another-secret-of-more-than-32-characters",)
    ]


def test_migration_writes_the_trusted_proxies_of_the_installation(clone: Clone) -> None:
    url = clone()
    stored = "select config_value, version from app.system_configs where config_key = 'auth.trusted_proxies'"
    for _ in range(2):
        migrate(url, trusted_proxies="127.0.0.1, 10.0.0.0/8")
        assert query(url, stored) == [(["127.0.0.1", "10.0.0.0/8"], 2)]
    migrate(url)
    assert query(url, stored) == [(["127.0.0.1", "10.0.0.0/8"], 2)], "nothing is named, nothing is written"


def test_every_job_is_recorded_and_calls_existing_functions(shared_database: str) -> None:
    jobs = read_jobs(TREE)
    assert jobs
    recorded = query(
        shared_database, "select job, schedule, command, description from jobs.schedule order by 1"
    )
    assert recorded == sorted((job.name, job.schedule, job.command, job.description) for job in jobs)
    with psycopg.connect(shared_database) as conn:
        conn.execute("set role hub_owner")
        for job in jobs:
            call = re.fullmatch(r"(select|call) (jobs\.\w+)\(\)", job.command)
            assert call, job.command
            kind = conn.execute("select prokind from pg_proc where oid = %s::regproc", [call[2]]).fetchone()
            assert kind == ({"select": "f", "call": "p"}[call[1]],)
