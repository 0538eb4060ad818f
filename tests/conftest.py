"""Fixtures: `cluster`, `template`, `clone`, `db`, `gateway`. See tests.support.client to act as a role."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from pytest_postgresql.janitor import DatabaseJanitor

from hub.cluster import Cluster
from tests.support import test_cluster
from tests.support.client import RunningGateway
from tests.support.gateway import running_gateway

SLOW_FIRST = [
    "tests/erp/test_tryton_round_trip.py",
    "tests/web",
    "tests/crash_recovery",
    "tests/stateful",
    "tests/domain/service_level/test_cron.py",
    "tests/stack",
    "tests/whatsapp",
    "tests/devtools/test_bench.py",
    "tests/concurrency",
    "tests/fuzz",
    "tests/devtools/test_mutation.py",
]
"""The slowest tests run first, so that none of them delays the end of a run."""

Clone = Callable[[], str]
EmptyDatabase = Callable[[], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first, otherwise in their order. `hub dev mutate` has its own order."""
    if test_cluster.TEMPLATE in os.environ:
        return

    def rank(item: pytest.Item) -> int:
        found = (i for i, start in enumerate(SLOW_FIRST) if item.nodeid.startswith(start))
        return next(found, len(SLOW_FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of the tests: `.host .port .superuser .password .url(dbname)`; pg_cron is preloaded."""
    with test_cluster.running_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """Name of the migrated template database."""
    return test_cluster.ensure_template(cluster)


def _janitor(cluster: Cluster, what: str, template: str | None) -> DatabaseJanitor:
    return DatabaseJanitor(
        user=cluster.superuser,
        password=cluster.password,
        host=cluster.host,
        port=cluster.port,
        dbname=test_cluster.fresh_name(what),
        template_dbname=template,
    )


@contextmanager
def _factory(cluster: Cluster, what: str, template: str | None) -> Iterator[Callable[[], str]]:
    janitors: list[DatabaseJanitor] = []

    def make() -> str:
        janitor = _janitor(cluster, what, template)
        janitor.init()
        janitors.append(janitor)
        return cluster.url(janitor.dbname)

    try:
        yield make
    finally:
        for janitor in janitors:
            janitor.drop()


@pytest.fixture
def empty_databases(cluster: Cluster) -> Iterator[EmptyDatabase]:
    """A function that creates an empty database and returns its URL; all are dropped afterwards."""
    with _factory(cluster, "empty", None) as make:
        yield make


@pytest.fixture
def empty_database(empty_databases: EmptyDatabase) -> str:
    """URL of an empty database, dropped afterwards."""
    return empty_databases()


@pytest.fixture
def clone(cluster: Cluster, template: str) -> Iterator[Clone]:
    """A function that creates a migrated database and returns its URL; all are dropped afterwards."""
    with _factory(cluster, "clone", template) as make:
        yield make


@pytest.fixture(scope="module")
def module_clone(cluster: Cluster, template: str) -> Iterator[Clone]:
    """Like `clone`, for databases that the tests of a module share."""
    with _factory(cluster, "module", template) as make:
        yield make


@pytest.fixture(scope="session")
def shared_database(cluster: Cluster, template: str) -> Iterator[str]:
    """URL of the migrated database of the run; tests roll back all changes."""
    with _janitor(cluster, "shared", template) as janitor:
        yield cluster.url(janitor.dbname)


@pytest.fixture(scope="module")
def connections(shared_database: str) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """A function that returns the module's connection; it connects again when a test has ended it.

    A new backend compiles every function that it calls, which takes longer than most tests.
    """
    with ExitStack() as stack:
        kept: list[psycopg.Connection[Any]] = []

        def connect() -> psycopg.Connection[Any]:
            if not kept or kept[-1].closed:
                # A test may change the columns of a view: statements are not prepared for the next one.
                kept.append(stack.enter_context(psycopg.connect(shared_database, prepare_threshold=None)))
            return kept[-1]

        yield connect


@pytest.fixture
def db(connections: Callable[[], psycopg.Connection[Any]]) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection in a transaction that is rolled back at the end."""
    # In the open block `caller` is a savepoint, and a commit() by the test fails.
    conn = connections()
    with conn.transaction(force_rollback=True):
        yield conn


@pytest.fixture(scope="module")
def gateway(cluster: Cluster, template: str) -> Iterator[RunningGateway]:
    """The gateway that HUB_GATEWAY selects, on a migrated database of this module."""
    with (
        _janitor(cluster, "gateway", template) as janitor,
        running_gateway(cluster, janitor.dbname) as running,
    ):
        yield running
