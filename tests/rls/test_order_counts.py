"""`order_counts` counts what `orders` shows, for every role."""

import pytest

from tests.rls import visibility
from tests.support.context import Caller, Connection
from tests.support.rls_dataset import RlsDataset

OPEN = ("DRAFT", "SUBMITTED", "PROCESSING", "APPROVED", "SHIPPED")
COUNTS = "select status::text, order_count, is_capped from api.order_counts"
ORDERS = "select status::text, count(*) from api.orders group by status"


def counts(conn: Connection, who: Caller) -> dict[str, tuple[int, bool]]:
    rows = visibility.attempt(conn, who, lambda: conn.execute(COUNTS).fetchall())
    return {status: (count, is_capped) for status, count, is_capped in rows}


@pytest.mark.parametrize("role", ["partner", "agent", "subdist", "admin", "superadmin"])
def test_counts_equal_the_orders_that_a_role_sees(conn: Connection, dataset: RlsDataset, role: str) -> None:
    for who, _ in visibility.callers(dataset, role):
        shown = dict(visibility.attempt(conn, who, lambda: conn.execute(ORDERS).fetchall()))
        assert sum(shown.values()) > 0
        assert counts(conn, who) == {status: (shown.get(status, 0), False) for status in OPEN}


def test_counts_stop_at_a_thousand(conn: Connection, dataset: RlsDataset) -> None:
    partner = dataset.west.partner
    conn.execute("set local session_replication_role = replica")
    conn.execute(
        "insert into app.orders (partner_id, order_number) select %s, 'C-' || n"
        " from generate_series(1, 1001) as n",
        [partner.sub],
    )
    assert counts(conn, partner)["DRAFT"] == (1000, True)
    assert counts(conn, dataset.admin)["DRAFT"] == (1000, True)
    assert counts(conn, dataset.east.partner)["DRAFT"][1] is False
