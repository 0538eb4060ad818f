"""Fixture `world`: the small Indonesia of tests.world, inside the test's transaction."""

import pytest

from tests.world import Connection, World, make_world


@pytest.fixture
def world(db: Connection) -> World:
    return make_world(db)
