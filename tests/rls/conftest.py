"""One database for all tests of a module, with two of each in it; what a test does is undone."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Clone
from tests.two_of_each import TwoOfEach, make_two_of_each
from tests.world import Connection


@pytest.fixture(scope="module")
def peopled(module_clone: Clone) -> tuple[str, TwoOfEach]:
    """URL of the database, and who is in it."""
    url = module_clone()
    with psycopg.connect(url, autocommit=True) as conn:
        return url, make_two_of_each(conn)


@pytest.fixture
def world(peopled: tuple[str, TwoOfEach]) -> TwoOfEach:
    return peopled[1]


@pytest.fixture
def conn(peopled: tuple[str, TwoOfEach]) -> Iterator[Connection]:
    """A superuser's connection inside a transaction that is rolled back."""
    with psycopg.connect(peopled[0]) as connection, connection.transaction(force_rollback=True):
        yield connection
