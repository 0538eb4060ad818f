"""One database with the RLS dataset for all tests of a module; each test is rolled back."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Connection
from tests.support.rls_dataset import RlsDataset, make_rls_dataset


@pytest.fixture(scope="module")
def populated(module_clone: Clone) -> tuple[str, RlsDataset]:
    """URL of the database, and its dataset."""
    url = module_clone()
    with psycopg.connect(url, autocommit=True) as conn:
        return url, make_rls_dataset(conn)


@pytest.fixture
def dataset(populated: tuple[str, RlsDataset]) -> RlsDataset:
    return populated[1]


@pytest.fixture
def conn(populated: tuple[str, RlsDataset]) -> Iterator[Connection]:
    """A superuser's connection inside a transaction that is rolled back."""
    with psycopg.connect(populated[0]) as connection, connection.transaction(force_rollback=True):
        yield connection
