"""A page of a list costs the page: no role's list reads or sorts a large table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Clone
from tests.support.context import Caller, Connection
from tests.support.queries import nodes
from tests.support.rls_dataset import RlsDataset, make_rls_dataset

pytestmark = pytest.mark.planner

PAGE = 20
# Rows that one node of a plan may read: 20 orders have 100 lines in this data set.
MOST_ROWS = 10 * PAGE

BIG = {
    "orders",
    "order_items",
    "order_events",
    "invoices",
    "invoice_payments",
    "point_transactions",
    "redemptions",
    "messages",
    "audit_logs_default",
    "sla_escalation_logs",
    "agent_sessions",
    "impersonation_notifications",
    "partner_counted_months",
    "products",
    "tier_prices",
}

# A year of 200 partners of the east, all served by the sub-distributor of the east.
POPULATION = """
set local session_replication_role = replica;
insert into app.partners (email, password_hash, business_name, region_id, tier)
select 'other' || g || '@hub.test', 'x', 'Salon ' || g,
  (select id from app.regions where code = 'PAPUA'), 'GOLD'
from generate_series(1, 200) as g;
create temp table population on commit drop as
select app.uuid_v7() as id, p.id as partner_id, n, now() - n * interval '1 hour' as at
from (
  select p.id, row_number() over () * 40 as first
  from app.partners as p where p.email like 'other%'
) as p, lateral generate_series(p.first, p.first + 39) as n;
insert into app.orders (
  id, partner_id, status, subtotal, grand_total, submitted_at, approved_at, created_at,
  routed_to_subdist_id, routed_at, order_number, awaiting, awaiting_since
)
select
  c.id, c.partner_id,
  (case when n % 50 = 0 then 'SUBMITTED' else 'COMPLETED' end)::app.order_status_enum,
  500000, 500000, c.at, c.at, c.at, s.id, c.at, 'C-' || c.n,
  (case when n % 50 = 0 then 'SUBDIST' else 'NONE' end)::app.awaiting_enum,
  case when n % 50 = 0 then c.at end
from population as c, (
  select s.id from app.sub_distributors as s
  join app.regions as r on r.id = s.region_id and r.code = 'PAPUA'
) as s;
insert into app.order_items (
  order_id, partner_id, product_id, quantity, list_price, unit_price, line_total, created_at
)
select c.id, c.partner_id, p.id, 1, 100000, 100000, 100000, c.at
from population as c, (select id from app.products order by sku limit 5) as p;
insert into app.order_events (order_id, partner_id, event, to_status, actor_role, created_at)
select c.id, c.partner_id, 'STATUS', 'COMPLETED', 'admin', c.at from population as c;
insert into app.invoices (id, order_id, partner_id, amount, due_date, invoice_number, created_at)
select c.id, c.id, c.partner_id, 500000, c.at, 'I-' || c.n, c.at from population as c;
insert into app.invoice_payments (invoice_id, partner_id, amount, paid_at, created_at)
select c.id, c.partner_id, 500000, c.at, c.at from population as c;
insert into app.point_transactions (partner_id, order_id, invoice_id, type, points, created_at)
select c.partner_id, c.id, c.id, 'EARNED', 50, c.at from population as c;
insert into app.redemptions (partner_id, catalog_item_id, points_spent, created_at)
select c.partner_id, r.id, 1, c.at
from population as c, (select id from app.redemption_catalog limit 1) as r;
insert into app.messages (
  template, recipient_type, recipient_id, order_id, priority, status, created_at
)
select case when c.n < 4000 then 'order_routed' else 'invoice_issued' end, 'PARTNER', c.partner_id,
  c.id, 2, case when c.n % 100 = 0 then 'FAILED' else 'SENT' end, c.at
from population as c;
insert into app.audit_logs (actor_type, actor_role, target_type, action, created_at)
select 'AGENT', case when c.n < 4000 then 'partner' else 'admin' end, 'orders',
  case when c.n < 4000 then 'INSERT' else 'UPDATE' end, c.at - interval '3 years'
from population as c;
insert into app.sla_escalation_logs (
  order_id, escalation_level, notified_to, notified_type, triggered_at, clock_started_at, due_at,
  region_id
)
select
  c.id, 'HQ_INTERVENTION', c.id, 'ADMIN', c.at, c.at, c.at,
  (select id from app.regions where code = 'PAPUA')
from population as c;
insert into app.agent_sessions (id, agent_id, impersonated_partner_id, started_at, expires_at)
select c.id, a.id, c.partner_id, c.at, c.at + interval '1 hour'
from population as c, (select id from app.agents limit 1) as a;
insert into app.impersonation_notifications (agent_session_id, act, order_id, created_at)
select c.id, 'ORDER', c.id, c.at from population as c;
insert into app.products (sku, name, base_price)
select 'P-' || n, 'Sampo ' || md5(n::text), 100000 from generate_series(1, 5000) as n;
insert into app.tier_prices (product_id, tier, price, effective_from)
select p.id, 'GOLD', 90000, now() - interval '1 day' from app.products as p where p.sku like 'P-%';
"""


@dataclass(frozen=True)
class Population:
    """A database with enough rows that reading a whole table costs more than reading a page by index."""

    conn: Connection
    callers: dict[str, Caller]


@pytest.fixture(scope="module")
def population(module_clone: Clone) -> Iterator[Population]:
    with psycopg.connect(module_clone(), autocommit=True) as conn:
        dataset = make_rls_dataset(conn)
        with conn.transaction():
            conn.execute(POPULATION)
        conn.execute("select app.recount_statistics()")
        conn.execute("vacuum analyze")
        yield Population(conn, callers(conn, dataset))


def callers(conn: Connection, dataset: RlsDataset) -> dict[str, Caller]:
    """One caller of each role; those of the east share in what the population added."""
    other = conn.execute("select id from app.partners where email = 'other7@hub.test'").fetchall()[0][0]
    return {
        "partner": Caller("partner", str(other)),
        "subdist": dataset.east.subdist,
        "agent": dataset.east.agent,
        "agent of few partners": dataset.west.agent,
        "admin": dataset.admin,
        "superadmin": dataset.superadmin,
    }


def embed(view: str, condition: str, columns: str) -> str:
    """A list that PostgREST embeds into the rows of `t`."""
    return (
        f"left join lateral (select json_agg(j) from (select {columns} from api.{view} as e"
        f" left join api.products as p on {'p.id = e.product_id' if view == 'order_items' else 'false'}"
        f" where {condition}) as j) as {view} on true"
    )


LINES = embed("order_items", "e.order_id = t.id and e.partner_id = t.partner_id", "e.quantity, p.sku")
PARTS = " ".join(
    [
        LINES,
        embed("invoices", "e.order_id = t.id and e.partner_id = t.partner_id", "e.status"),
        embed("order_events", "e.order_id = t.id and e.partner_id = t.partner_id", "e.event"),
    ]
)
OPEN = "status in ('SUBMITTED', 'PROCESSING')"
NEWEST = f"order by t.created_at desc limit {PAGE}"
SEARCH = f"api.products as t where t.name ilike '%a7f3%' order by t.name limit {PAGE}"
OF_A_TEMPLATE = f"api.messages as t where t.template = 'invoice_issued' {NEWEST}"
OF_A_KIND = (
    "api.audit_logs as t where t.target_type = 'orders' and t.action = 'UPDATE'"
    f" and t.actor_role = 'admin' {NEWEST}"
)
DELIVERIES = f"api.orders as t join api.delivery_contacts as d on d.id = t.partner_id {NEWEST}"
EVERYONE = ("partner", "subdist", "agent", "admin", "superadmin")
BILLED = ("partner", "agent", "admin", "superadmin")
POINTS = ("partner", "admin", "superadmin")
HEADQUARTERS = ("admin", "superadmin")
STAFF = ("agent", *HEADQUARTERS)


def partners(source: str) -> str:
    """The embedded partner of a row of `t`."""
    rows = f"select p.business_name from {source} as p where p.id = t.partner_id"
    return f"left join lateral ({rows}) as p on true"


LISTS: list[tuple[tuple[str, ...], str]] = [
    (EVERYONE, f"api.orders as t {NEWEST}"),
    (EVERYONE, f"api.orders as t {LINES} {NEWEST}"),
    (BILLED, f"api.orders as t {PARTS} {NEWEST}"),
    (EVERYONE, f"api.orders as t {LINES} where {OPEN} {NEWEST}"),
    (EVERYONE, f"api.orders as t {LINES} where status = 'SUBMITTED' {NEWEST}"),
    (("subdist", "agent", *HEADQUARTERS), f"api.orders as t where {OPEN} order by t.routed_at limit {PAGE}"),
    (("subdist",), DELIVERIES),
    (BILLED, f"api.orders as t {LINES} order by t.submitted_at desc limit {PAGE}"),
    (EVERYONE, f"api.orders as t {LINES} where t.created_at < now() - interval '9 days' {NEWEST}"),
    ((*EVERYONE, "agent of few partners"), f"api.newest_orders({PAGE}) as t {LINES}"),
    ((*EVERYONE, "agent of few partners"), f"api.newest_order_events({PAGE}) as t"),
    ((*BILLED, "agent of few partners"), f"api.newest_invoices({PAGE}) as t"),
    ((*BILLED, "agent of few partners"), f"api.newest_payments({PAGE}) as t"),
    ((*BILLED, "agent of few partners"), f"api.newest_credit_notes({PAGE}) as t"),
    ((*BILLED, "agent of few partners"), f"api.earliest_due_invoices({PAGE}) as t"),
    (EVERYONE, f"api.order_items as t {NEWEST}"),
    (EVERYONE, f"api.order_events as t {NEWEST}"),
    (BILLED, f"api.invoices as t {NEWEST}"),
    (("agent", *HEADQUARTERS), f"api.invoices as t order by t.due_date limit {PAGE}"),
    (BILLED, f"api.invoices as t where status in ('UNPAID', 'PARTIAL') order by t.due_date limit {PAGE}"),
    (BILLED, f"api.overdue_invoices as t order by t.due_date limit {PAGE}"),
    (BILLED, f"api.invoice_payments as t {NEWEST}"),
    (POINTS, f"api.point_transactions as t {NEWEST}"),
    (POINTS, f"api.redemptions as t {NEWEST}"),
    (POINTS, f"api.redemption_catalog as t order by t.points_required limit {PAGE}"),
    (
        (*BILLED, "agent of few partners"),
        f"api.partner_statistics as t order by t.month desc limit {PAGE}",
    ),
    (STAFF, f"api.partner_statistics as t {partners('api.partners(t)')} order by t.month desc limit {PAGE}"),
    (STAFF, f"api.invoices as t {partners('api.partners')} {NEWEST}"),
    (STAFF, f"api.order_events as t left join lateral api.staff(t) as s on true {NEWEST}"),
    (HEADQUARTERS, f"api.order_events as t left join lateral api.agents(t) as s on true {NEWEST}"),
    (EVERYONE, f"api.products as t order by t.sku limit {PAGE}"),
    (EVERYONE, SEARCH),
    (HEADQUARTERS, f"api.tier_prices as t order by t.effective_from desc limit {PAGE}"),
    (HEADQUARTERS, f"api.messages as t {NEWEST}"),
    (HEADQUARTERS, f"api.messages as t where t.status = 'FAILED' {NEWEST}"),
    (HEADQUARTERS, OF_A_TEMPLATE),
    (HEADQUARTERS, f"api.audit_logs as t where t.target_type = 'orders' {NEWEST}"),
    (HEADQUARTERS, OF_A_KIND),
    (("agent", *HEADQUARTERS), f"api.sla_escalation_logs as t order by t.triggered_at desc limit {PAGE}"),
    (HEADQUARTERS, f"api.agent_sessions as t order by t.started_at desc limit {PAGE}"),
    (HEADQUARTERS, f"api.impersonation_notifications as t {NEWEST}"),
]


def rows_read(node: dict[str, Any]) -> float:
    """Rows that a node read, whether or not they passed its filter."""
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


def excesses(conn: Connection, who: Caller, query: str) -> list[str]:
    """What the query reads or sorts beyond a page, as this caller."""
    with conn.transaction(force_rollback=True):
        conn.execute("select set_config('request.jwt.claims', %s, true)", [who.claims])
        conn.execute("select set_config('role', %s, true)", [who.role])
        conn.execute("set local jit = off")
        plan = conn.execute(f"explain (analyze, timing off, format json) {query}").fetchall()[0][0][0]["Plan"]
    found = []
    for node in nodes(plan):
        table = node.get("Relation Name")
        if table in BIG and node["Actual Loops"]:
            if node["Node Type"] == "Seq Scan":
                found.append(f"scans {table}")
            elif rows_read(node) > MOST_ROWS:
                found.append(f"reads {rows_read(node):.0f} rows of {table}")
        if node["Node Type"] == "Bitmap Index Scan" and rows_read(node) > MOST_ROWS:
            found.append(f"reads {rows_read(node):.0f} entries of {node['Index Name']}")
        if node["Node Type"] == "Sort" and rows_read(node["Plans"][0]) > MOST_ROWS:
            found.append(f"sorts {rows_read(node['Plans'][0]):.0f} rows")
    return found


@pytest.mark.parametrize(
    ("role", "relation"), [(role, relation) for roles, relation in LISTS for role in roles]
)
def test_a_list_reads_and_sorts_no_more_than_its_page(
    population: Population, role: str, relation: str
) -> None:
    who = population.callers[role]
    assert excesses(population.conn, who, f"select t.* from {relation}") == []


# The index that a list needs: without it, the check above reports the list.
NEEDED = [
    ("orders_created_idx", "admin", f"api.orders as t {LINES} {NEWEST}"),
    ("orders_created_idx", "agent", f"api.orders as t {LINES} {NEWEST}"),
    ("orders_open_created_idx", "admin", f"api.orders as t where {OPEN} {NEWEST}"),
    ("orders_open_routed_idx", "admin", f"api.orders as t where {OPEN} order by t.routed_at limit {PAGE}"),
    ("order_items_created_idx", "subdist", f"api.order_items as t {NEWEST}"),
    ("order_events_created_idx", "agent", f"api.order_events as t {NEWEST}"),
    ("invoices_created_idx", "agent", f"api.invoices as t {NEWEST}"),
    ("invoice_payments_created_idx", "admin", f"api.invoice_payments as t {NEWEST}"),
    ("point_transactions_created_idx", "admin", f"api.point_transactions as t {NEWEST}"),
    ("redemptions_created_idx", "admin", f"api.redemptions as t {NEWEST}"),
    ("messages_created_idx", "admin", f"api.messages as t {NEWEST}"),
    ("messages_created_idx", "admin", OF_A_TEMPLATE),
    ("audit_logs_type_idx", "admin", OF_A_KIND),
    ("messages_failed_idx", "admin", f"api.messages as t where t.status = 'FAILED' {NEWEST}"),
    (
        "sla_escalation_logs_triggered_idx",
        "admin",
        f"api.sla_escalation_logs as t order by t.triggered_at desc limit {PAGE}",
    ),
    (
        "agent_sessions_started_idx",
        "admin",
        f"api.agent_sessions as t order by t.started_at desc limit {PAGE}",
    ),
    (
        "impersonation_notifications_created_idx",
        "admin",
        f"api.impersonation_notifications as t {NEWEST}",
    ),
    (
        "partner_counted_months_month_idx",
        "agent",
        f"api.partner_statistics as t order by t.month desc limit {PAGE}",
    ),
    ("products_search_idx", "partner", SEARCH),
    (
        "tier_prices_effective_idx",
        "admin",
        f"api.tier_prices as t order by t.effective_from desc limit {PAGE}",
    ),
]


@pytest.mark.parametrize(("index", "role", "relation"), NEEDED)
def test_a_list_without_its_index_is_reported(
    population: Population, index: str, role: str, relation: str
) -> None:
    conn = population.conn
    with conn.transaction(force_rollback=True):
        conn.execute(sql.SQL("drop index app.{}").format(sql.Identifier(index)))
        assert excesses(conn, population.callers[role], f"select t.* from {relation}")


# The caller's invoices and those of others are paid, but for 30: their index is large and almost
# empty until the next vacuum.
PAID = """
set local session_replication_role = replica;
insert into app.invoices (id, order_id, partner_id, amount, due_date, invoice_number, created_at)
select
  app.uuid_v7(), app.uuid_v7(), current_setting('test.partner')::uuid, 500000,
  now() + n * interval '1 minute', 'P-' || n, now()
from generate_series(1, 4000) as n;
update app.invoices set status = 'PAID', amount_paid = amount, paid_at = now()
where invoice_number like 'I-%' or due_date < now() + interval '3970 minutes';
set local session_replication_role = origin;
analyze app.invoices;
"""


@pytest.mark.parametrize("limit", [PAGE, 5 * PAGE])
def test_unpaid_invoices_are_read_by_their_index_after_many_were_paid(
    population: Population, limit: int
) -> None:
    """PostgreSQL keeps the shares of the statuses from a caller under row security.

    It divides by their number instead, which a sample may find to be two.
    """
    conn, who = population.conn, population.callers["partner"]
    unpaid = f"api.invoices as t where status in ('UNPAID', 'PARTIAL') order by t.due_date limit {limit}"
    with conn.transaction(force_rollback=True):
        conn.execute("select set_config('test.partner', %s, true)", [who.sub])
        conn.execute(PAID)
        assert excesses(conn, who, f"select t.* from {unpaid}") == []
        for paid in ("t.due_date desc", "t.created_at desc"):
            ordered = f"api.invoices as t where status = 'PAID' order by {paid} limit {limit}"
            assert excesses(conn, who, f"select t.* from {ordered}") == []
        conn.execute("alter table app.invoices alter column status reset (n_distinct)")
        conn.execute("analyze app.invoices")
        assert excesses(conn, who, f"select t.* from {unpaid}")


def test_a_policy_with_an_array_of_all_orders_is_reported(population: Population) -> None:
    conn = population.conn
    with conn.transaction(force_rollback=True):
        conn.execute(
            "alter policy order_events__subdist_select on app.order_events"
            " using (order_id = any (array(select o.id from app.orders as o)))"
        )
        assert excesses(
            conn, population.callers["subdist"], f"select t.* from api.order_events as t {NEWEST}"
        )


def test_an_agent_of_few_partners_would_read_the_orders_of_all(population: Population) -> None:
    """Hence `newest_orders`: no policy makes this list independent of the orders of others."""
    who = population.callers["agent of few partners"]
    assert excesses(population.conn, who, f"select t.* from api.order_events as t {NEWEST}")


@pytest.mark.parametrize("role", [*EVERYONE, "agent of few partners"])
def test_counts_read_the_open_orders_alone(population: Population, role: str) -> None:
    """The counters of the transaction, because no plan shows what a function reads."""
    conn, who = population.conn, population.callers[role]
    opened = conn.execute(f"select count(*) from app.orders where {OPEN}").fetchall()[0][0]
    reads = "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relname = 'orders'"
    with conn.transaction(force_rollback=True):
        conn.execute("select set_config('request.jwt.claims', %s, true)", [who.claims])
        conn.execute("select set_config('role', %s, true)", [who.role])
        before = conn.execute(reads).fetchall()[0]
        assert conn.execute("select * from api.order_counts").fetchall()
        after = conn.execute(reads).fetchall()[0]
    assert after[0] == before[0]
    assert after[1] - before[1] <= opened + MOST_ROWS
