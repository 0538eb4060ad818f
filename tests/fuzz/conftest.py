"""The front door over a database with two of each in it."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.api.conftest import Hub
from tests.support import RunningGateway
from tests.two_of_each import make_two_of_each


@pytest.fixture(scope="module")
def hub(gateway: RunningGateway) -> Iterator[Hub]:
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        world = make_two_of_each(conn)
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as http:
        yield Hub(gateway, world, http)
