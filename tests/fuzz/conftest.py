"""The front door over a database with two of each in it."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.api.conftest import Hub
from tests.support.client import RunningGateway
from tests.support.rls_dataset import make_rls_dataset


@pytest.fixture(scope="module")
def hub(gateway: RunningGateway) -> Iterator[Hub]:
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        dataset = make_rls_dataset(conn)
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as http:
        yield Hub(gateway, dataset, http)
