"""A database with rows in every table, and a connection that bypasses triggers; each test is rolled back."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Connection
from tests.support.rls_dataset import make_rls_dataset


@pytest.fixture(scope="module")
def full_url(module_clone: Clone) -> str:
    """URL of the database; rows that the RLS dataset lacks are inserted directly."""
    url = module_clone()
    with psycopg.connect(url, autocommit=True) as conn:
        make_rls_dataset(conn)
        conn.execute("insert into app.point_queue (invoice_id) select id from app.invoices limit 1")
        conn.execute("insert into jobs.schedule values ('test', '* * * * *', 'select 1', 'none')")
        conn.execute("insert into jobs.runs values ('test', now(), now(), 0, 0) on conflict do nothing")
        conn.execute(
            "insert into app.erp_streams (stream, last_failed_at, failing_since, last_error)"
            " values ('stock', now(), now(), 'gone')"
        )
        conn.execute(
            "insert into app.erp_quarantine (stream, key, payload, reason) values ('stock', 'NIL', '{}', 'x')"
        )
        conn.execute(
            "insert into app.erp_cancellations (order_id, partner_id, outcome, settled_at)"
            " select id, partner_id, 'REFUSED', now() from app.orders"
        )
        conn.execute(
            "insert into auth.password_codes (token_hash, partner_id, expires_at)"
            " select '\\x00', id, now() from app.partners limit 1"
        )
        conn.execute("insert into auth.login_attempts (key) values ('ip:10.0.0.9')")
        conn.execute("update app.messages set provider_id = 'wamid.' || id")
        conn.execute("update app.agents set full_name = full_name || ' B'")  # one row of audit_buffer
        conn.execute(
            "insert into app.tier_prices (product_id, tier, price, min_qty_discount, discount_price,"
            " effective_from, effective_until) select product_id, tier, 9, 2, 8, now() - interval '3 years',"
            " now() - interval '2 years' from app.tier_prices limit 1"
        )
        conn.execute("update app.tier_prices set effective_until = now() + interval '1 year' where price > 9")
        conn.execute("update app.redemptions set idempotency_key = partner_id::text")
        conn.execute("insert into app.purged_provider_ids values ('x')")
    return url


@pytest.fixture
def conn(full_url: str) -> Iterator[Connection]:
    """A superuser's connection inside a transaction that is rolled back."""
    with psycopg.connect(full_url) as connection, connection.transaction(force_rollback=True):
        yield connection


@pytest.fixture
def bare(conn: Connection) -> Connection:
    """The same with triggers disabled, so that the table itself refuses."""
    conn.execute("set local session_replication_role = replica")
    return conn
