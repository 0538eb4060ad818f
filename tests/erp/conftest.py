"""Fixtures: `context` (in a transaction), `gateway_context`, `tryton` (the sandbox), `environment`."""

from collections.abc import Iterator

import psycopg
import pytest

from devtools.tryton.server import Server
from hub.cluster import Cluster
from tests.erp import sandbox
from tests.erp.environment import Environment, running
from tests.support.client import RunningGateway
from tests.support.context import Connection, Context, make_context


@pytest.fixture
def context(db: Connection) -> Context:
    """The small context, in the test's transaction."""
    return make_context(db, erp="csv")


@pytest.fixture(scope="module")
def gateway_context(gateway: RunningGateway) -> Context:
    """The small context in the database of the module's gateway, without products."""
    with psycopg.connect(gateway.database_url) as conn:
        return make_context(conn, products=0, erp="tryton")


@pytest.fixture(scope="module")
def tryton(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The module's Tryton sandbox."""
    with sandbox.running(cluster, tmp_path_factory.mktemp("tryton")) as server:
        yield server


@pytest.fixture(scope="module")
def synchronised(
    gateway: RunningGateway,
    tryton: Server,
    gateway_context: Context,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Environment]:
    """The module's environment after a first exchange: products, prices and stock are in the hub."""
    with running(gateway, tryton, gateway_context, tmp_path_factory.mktemp("environment")) as environment:
        first = environment.once()
        assert first.returncode == 0, first.stderr
        yield environment


@pytest.fixture
def environment(synchronised: Environment) -> Iterator[Environment]:
    """The module's environment without faults; the adapter of the previous test may still run."""
    synchronised.extra.clear()
    try:
        yield synchronised
    finally:
        synchronised.proxy.clear()
