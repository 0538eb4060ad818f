"""The API over a database with the RLS dataset."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiClient
from tests.support.client import RunningGateway
from tests.support.rls_dataset import make_rls_dataset


@pytest.fixture(scope="module")
def api(gateway: RunningGateway) -> Iterator[ApiClient]:
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        dataset = make_rls_dataset(conn)
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as http:
        yield ApiClient(gateway, dataset, http)
