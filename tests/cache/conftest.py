"""Fixtures of the cache's tests: a committed database, a Redis."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.cache.environment import REDIS, RedisServer, redis_server
from tests.conftest import Clone
from tests.support.context import Context, make_context

TIER_PRICES = {"SILVER": 3000, "GOLD": 2000, "PLATINUM": 1000}
"""Prices of SKU-001."""


@dataclass(frozen=True)
class Shop:
    """A database on which the tests commit, a superuser's connection and the callers."""

    url: str
    conn: psycopg.Connection[Any]
    context: Context

    def set_price(self, sku: str, rupiah: int) -> None:
        """Set what a product costs the tiers without a price of their own."""
        self.conn.execute("update app.products set base_price = %s where sku = %s", [rupiah, sku])


@pytest.fixture(scope="module")
def shop(module_clone: Clone) -> Iterator[Shop]:
    """A database with three partners, one of each tier, and five products."""
    url = module_clone()
    with psycopg.connect(url, autocommit=True) as conn:
        shop = Shop(url, conn, make_context(conn))
        for tier, price in TIER_PRICES.items():
            conn.execute(
                "insert into app.tier_prices (product_id, tier, price, effective_from)"
                " values (%s, %s, %s, now() - interval '1 day')",
                [shop.context.products["SKU-001"], tier, price],
            )
        yield shop


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A running Redis."""
    if not REDIS:
        pytest.skip("redis-server is not installed")
    with redis_server() as server:
        yield server
