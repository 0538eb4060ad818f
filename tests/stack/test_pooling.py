"""Five hundred clients share the connections of a pool; `hub dev pooling` does so for a minute each way."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from devtools.pooling import FULL, WAYS, exhaust, measure, violations, violations_of_exhaustion
from devtools.pooling.environment import Environment, settings_for
from devtools.pooling.load import Load
from hub import paths, settings
from hub.cluster import Cluster
from hub.stack import gateway as gateways
from tests.conftest import Clone
from tests.support import test_cluster
from tests.support.context import make_context

CLIENTS = 500


@pytest.fixture(scope="module")
def environment(cluster: Cluster, module_clone: Clone) -> Iterator[Environment]:
    url = module_clone()
    with psycopg.connect(url, autocommit=True) as conn:
        make_context(conn)
    chosen = settings_for(
        urlsplit(url).path.lstrip("/"),
        cluster.port,
        test_cluster.AUTHENTICATOR_PASSWORD,
        test_cluster.JWT_SECRET,
    )
    choice = gateways.choose(settings.read().gateway, paths.root() / ".cache" / "postgrest")
    with test_cluster.scratch_folder() as folder:
        yield Environment(folder, url, chosen, choice)


@pytest.mark.parametrize("way", WAYS[:2])
def test_five_hundred_clients_share_twenty_connections_without_an_error(
    environment: Environment, way: str
) -> None:
    load = measure(environment, way, clients=CLIENTS, seconds=0)
    assert violations([load]) == []
    assert load.requests >= CLIENTS
    assert 1 < load.connections <= 20


def test_request_that_finds_no_free_connection_is_504_in_time(environment: Environment) -> None:
    refused, afterwards = exhaust(environment, clients=100, hold_seconds=4, wait_seconds=2)
    assert violations_of_exhaustion(refused, afterwards, wait_seconds=2) == []
    assert refused.errors[FULL] == 100 - gateways.POOL_SIZE
    assert refused.requests == gateways.POOL_SIZE, "those that had a connection were answered"


def test_each_violation_is_reported() -> None:
    good = Load("one", 500, requests=500, connections=20)
    assert violations([good]) == []
    bad = Load("two", 500, connections=21, errors=Counter({FULL: 3}))
    assert violations([good, bad]) == [
        "two: 3 x 504 PGRST003",
        "two: no request succeeded",
        "two: 21 connections to PostgreSQL",
    ]
    hang = Load("hang", 500, slowest_ms=40_000, errors=Counter({FULL: 100, "ReadTimeout": 400}))
    assert violations_of_exhaustion(hang, good, 10) == [
        "hang: 400 x ReadTimeout",
        "hang: only 100 of 500 were answered 504 PGRST003",
        "hang: an answer took 40,000 ms",
    ]
