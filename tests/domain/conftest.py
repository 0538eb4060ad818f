"""Fixture `context`: the small Indonesia of tests.support.context, inside the test's transaction."""

import pytest

from tests.support.context import Connection, Context, make_context


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)
