"""A running Tryton, and a house around it, for the tests of a module."""

from collections.abc import Iterator

import psycopg
import pytest

from devtools.tryton.server import Server
from hub.cluster import Cluster
from tests.erp import accounting, environment
from tests.erp.environment import House
from tests.support.client import RunningGateway
from tests.support.context import Context, make_context


@pytest.fixture(scope="module")
def tryton(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """trytond with its furnished database."""
    with accounting.running(cluster, tmp_path_factory.mktemp("tryton")) as server:
        yield server


@pytest.fixture(scope="module")
def context(gateway: RunningGateway) -> Context:
    """The hub's side: partners and headquarters; its products come from Tryton."""
    with psycopg.connect(gateway.database_url) as conn:
        made = make_context(conn, products=0)
        conn.execute("update app.inventory set safety_buffer = 0")
    return made


@pytest.fixture(scope="module")
def settled(
    gateway: RunningGateway, tryton: Server, context: Context, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """The house after a first exchange: products, prices and stock are there."""
    with environment.running(gateway, tryton, context, tmp_path_factory.mktemp("house")) as made:
        first = made.once()
        assert first.returncode == 0, first.stderr
        yield made


@pytest.fixture
def house(settled: House) -> Iterator[House]:
    """The module's house, its line undisturbed; the adapter may run from the test before."""
    settled.extra.clear()
    try:
        yield settled
    finally:
        settled.line.calm()
