"""Fixtures: a database for each test, on which the tests commit."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Connection


@pytest.fixture
def url(clone: Clone) -> str:
    """URL of a fresh migrated database."""
    return clone()


@pytest.fixture
def conn(url: str) -> Iterator[Connection]:
    """A superuser's connection to that database that commits each statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
