"""Row security costs an index scan: no list of a partner or sub-distributor scans a large table."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Caller, Connection
from tests.support.rls_dataset import RlsDataset, make_rls_dataset

pytestmark = pytest.mark.planner

BIG = {
    "orders",
    "order_items",
    "order_events",
    "invoices",
    "invoice_payments",
    "point_transactions",
    "redemptions",
}

# A year of 200 partners: copies of the rows of two, under other partners and new ids.
POPULATION = """
set local session_replication_role = replica;
insert into app.partners (email, password_hash, business_name, region_id, tier)
select 'other' || g || '@hub.test', 'x', 'Salon ' || g,
  (select id from app.regions where code = 'PAPUA'), 'GOLD'
from generate_series(1, 200) as g;
create temp table population on commit drop as
select app.uuid_v7() as id, p.id as partner_id, g
from app.partners as p, generate_series(1, 40) as g where p.email like 'other%';
insert into app.orders (
  id, partner_id, status, subtotal, grand_total, submitted_at, approved_at,
  routed_to_subdist_id, routed_at, order_number
)
select c.id, c.partner_id, 'APPROVED', 500000, 500000, now(), now(), s.id, now(), 'C-' || row_number() over ()
from population as c, (select id from app.sub_distributors order by id desc limit 1) as s;
insert into app.order_items (order_id, partner_id, product_id, quantity, list_price, unit_price, line_total)
select c.id, c.partner_id, p.id, 1, 100000, 100000, 100000
from population as c, (select id from app.products order by sku limit 5) as p;
insert into app.order_events (order_id, partner_id, event, to_status, actor_role)
select c.id, c.partner_id, 'STATUS', 'APPROVED', 'admin' from population as c;
insert into app.invoices (id, order_id, partner_id, amount, due_date, invoice_number)
select c.id, c.id, c.partner_id, 500000, now(), 'I-' || row_number() over () from population as c;
insert into app.invoice_payments (invoice_id, partner_id, amount, paid_at)
select c.id, c.partner_id, 500000, now() from population as c;
insert into app.point_transactions (partner_id, order_id, invoice_id, type, points)
select c.partner_id, c.id, c.id, 'EARNED', 50 from population as c;
insert into app.redemptions (partner_id, catalog_item_id, points_spent)
select c.partner_id, r.id, 1 from population as c, (select id from app.redemption_catalog limit 1) as r;
"""


@pytest.fixture(scope="module")
def populated(module_clone: Clone) -> Iterator[tuple[Connection, RlsDataset]]:
    with psycopg.connect(module_clone(), autocommit=True) as conn:
        dataset = make_rls_dataset(conn)
        with conn.transaction():
            conn.execute(POPULATION)
        conn.execute("analyze")
        yield conn, dataset


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def scans(conn: Connection, who: Caller, query: str) -> list[str]:
    """The large tables that the query scans sequentially as this caller."""
    with conn.transaction(force_rollback=True):
        conn.execute("select set_config('request.jwt.claims', %s, true)", [who.claims])
        conn.execute("select set_config('role', %s, true)", [who.role])
        plan = conn.execute(f"explain (format json) {query}").fetchall()[0][0][0]["Plan"]
    return [
        n["Relation Name"] for n in nodes(plan) if n["Node Type"] == "Seq Scan" and n["Relation Name"] in BIG
    ]


LISTS = [
    "select * from api.orders order by created_at desc limit 20",
    "select * from api.orders",
    "select count(*) from api.orders",
    "select * from api.orders where status = 'SUBMITTED'",
    "select * from api.order_items",
    "select * from api.order_events",
    "select * from api.invoices where status in ('UNPAID', 'PARTIAL') order by due_date",
    "select * from api.invoices",
    "select * from api.invoice_payments",
    "select * from api.point_transactions order by created_at desc",
    "select sum(points) from api.point_transactions",
    "select * from api.redemptions",
    "select * from api.redemption_catalog",
    "select * from api.products order by sku limit 50",
    # an embedding as PostgREST writes it
    "select o.*, (select json_agg(i) from (select i.*, (select row_to_json(p) from api.products p"
    " where p.id = i.product_id) from api.order_items i where i.order_id = o.id) i),"
    " (select json_agg(v) from api.invoices v where v.order_id = o.id) from api.orders o limit 20",
]


@pytest.mark.parametrize("query", LISTS)
def test_a_partners_list_scans_no_large_table(populated: tuple[Connection, RlsDataset], query: str) -> None:
    conn, dataset = populated
    assert scans(conn, dataset.west.partner, query) == []


@pytest.mark.parametrize("query", [q for q in LISTS if "order" in q.split("api.")[1][:12]])
def test_a_subdistributors_list_scans_no_large_table(
    populated: tuple[Connection, RlsDataset], query: str
) -> None:
    conn, dataset = populated
    if "invoices" not in query:
        assert scans(conn, dataset.west.subdist, query) == []


def test_the_same_list_is_scanned_without_the_policy(
    populated: tuple[Connection, RlsDataset],
) -> None:
    conn, dataset = populated
    assert scans(conn, dataset.admin, "select * from api.orders") == ["orders"]
