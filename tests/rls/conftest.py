"""One database for all tests of a module, with two of each in it; what a test does is undone."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Connection
from tests.support.rls_dataset import RlsDataset, make_rls_dataset


@pytest.fixture(scope="module")
def peopled(module_clone: Clone) -> tuple[str, RlsDataset]:
    """URL of the database, and who is in it."""
    url = module_clone()
    with psycopg.connect(url, autocommit=True) as conn:
        return url, make_rls_dataset(conn)


@pytest.fixture
def dataset(peopled: tuple[str, RlsDataset]) -> RlsDataset:
    return peopled[1]


@pytest.fixture
def conn(peopled: tuple[str, RlsDataset]) -> Iterator[Connection]:
    """A superuser's connection inside a transaction that is rolled back."""
    with psycopg.connect(peopled[0]) as connection, connection.transaction(force_rollback=True):
        yield connection
