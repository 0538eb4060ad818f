"""`newest_orders` and its siblings return what the views by time return, for every role."""

import psycopg
import pytest

from tests.rls import visibility
from tests.support.context import Caller, Connection
from tests.support.rls_dataset import RlsDataset

LIST = "select id::text from api.orders where created_at < %s order by created_at desc, id desc limit %s"
CALL = "select id::text from api.newest_orders(n => %s, before => %s)"


@pytest.fixture
def spread(conn: Connection) -> Connection:
    """The data set with an hour between two orders; pairs of orders have the same time."""
    conn.execute("set local session_replication_role = replica")
    conn.execute(
        "update app.orders as o set created_at = now() - make_interval(hours => s.n / 2)"
        " from (select id, row_number() over (order by order_number)::int as n from app.orders) as s"
        " where s.id = o.id"
    )
    conn.execute("set local session_replication_role = origin")
    return conn


def rows(conn: Connection, who: Caller, query: str, *arguments: object) -> list[str]:
    found: list[str] = visibility.attempt(
        conn, who, lambda: [str(row[0]) for row in conn.execute(query, arguments).fetchall()]
    )
    return found


def add_partners(conn: Connection, region_of: Caller, count: int) -> None:
    """Partners without orders in the region of a partner."""
    conn.execute(
        "insert into app.partners (email, password_hash, business_name, region_id)"
        " select 'more' || n || '@hub.test', 'x', 'Salon', p.region_id"
        " from app.partners as p, generate_series(1, %s) as n where p.id = %s",
        [count, region_of.sub],
    )


@pytest.mark.parametrize("role", ["partner", "agent", "subdist", "admin", "superadmin"])
@pytest.mark.parametrize("n", [1, 3, 100])
def test_newest_orders_are_the_head_of_the_list(
    spread: Connection, dataset: RlsDataset, role: str, n: int
) -> None:
    for who, _ in visibility.callers(dataset, role):
        wanted = rows(spread, who, LIST, "infinity", n)
        assert rows(spread, who, CALL, n, None) == wanted
        assert wanted


@pytest.mark.parametrize("others", [0, 1001], ids=["few partners", "many partners"])
def test_pages_of_an_agent_follow_each_other(spread: Connection, dataset: RlsDataset, others: int) -> None:
    agent = dataset.west.agent
    add_partners(spread, dataset.west.partner, others)
    for before in rows(spread, agent, "select created_at from api.orders"):
        assert rows(spread, agent, CALL, 2, before) == rows(spread, agent, LIST, before, 2)


def test_an_agent_without_partners_gets_an_empty_list(conn: Connection, dataset: RlsDataset) -> None:
    conn.execute("update app.agents set region_id = null where id = %s", [dataset.west.agent.sub])
    assert rows(conn, dataset.west.agent, CALL, 20, None) == []


EVENTS = (
    "select e.id::text from api.order_events as e where e.created_at < %s"
    " order by e.created_at desc, e.id desc limit %s"
)
EVENTS_CALL = "select id::text from api.newest_order_events(n => %s, before => %s)"


@pytest.mark.parametrize("role", ["partner", "agent", "subdist", "admin", "superadmin"])
def test_newest_events_are_the_head_of_the_list(spread: Connection, dataset: RlsDataset, role: str) -> None:
    for who, _ in visibility.callers(dataset, role):
        wanted = rows(spread, who, EVENTS, "infinity", 100)
        assert rows(spread, who, EVENTS_CALL, 100, None) == wanted
        for before in rows(spread, who, "select created_at from api.order_events"):
            assert rows(spread, who, EVENTS_CALL, 2, before) == rows(spread, who, EVENTS, before, 2)
        assert wanted


def test_rows_of_partners_at_the_same_moment_are_ordered_by_id(conn: Connection, dataset: RlsDataset) -> None:
    """The newest row of every partner counts for the page, not those of the first partners only."""
    conn.execute("set local session_replication_role = replica")
    conn.execute(
        "update app.partners set region_id = (select p.region_id from app.partners as p where p.id = %s)",
        [dataset.west.partner.sub],
    )
    conn.execute("update app.orders set created_at = now()")
    conn.execute("update app.order_events set created_at = now()")
    conn.execute("set local session_replication_role = origin")
    agent = dataset.west.agent
    for n in (1, 2, 3):
        assert rows(conn, agent, CALL, n, None) == rows(conn, agent, LIST, "infinity", n)
        assert rows(conn, agent, EVENTS_CALL, n, None) == rows(conn, agent, EVENTS, "infinity", n)


def test_newest_events_of_an_agent_of_many_partners(spread: Connection, dataset: RlsDataset) -> None:
    add_partners(spread, dataset.west.partner, 1001)
    agent = dataset.west.agent
    wanted = rows(spread, agent, EVENTS, "infinity", 3)
    assert rows(spread, agent, EVENTS_CALL, 3, None) == wanted != []


BILLS = [("invoices", "newest_invoices"), ("invoice_payments", "newest_payments")]
BILLED = ["partner", "agent", "admin", "superadmin"]


@pytest.fixture
def billed(conn: Connection) -> Connection:
    """Three of most invoices, payments and credit notes, and an hour between every two of a table."""
    conn.execute("set local session_replication_role = replica")
    for table, copied in (
        ("invoices", "invoice_number"),
        ("invoice_payments", "reference_use"),
        ("credit_notes", "credit_note_number"),
    ):
        columns = conn.execute(
            "select string_agg(column_name, ', ') from information_schema.columns"
            " where table_schema = 'app' and table_name = %s and is_generated = 'NEVER'"
            " and column_name not in ('id', %s)",
            [table, copied],
        ).fetchall()[0][0]
        conn.execute(
            f"insert into app.{table} (id, {copied}, {columns})"
            f" select app.uuid_v7(), row_number() over (), {columns}"
            f" from app.{table} as t, generate_series(1, 2)"
            " where to_jsonb(t) ->> 'reverses_payment_id' is null"
        )
        conn.execute(
            f"update app.{table} as t set created_at = now() - make_interval(hours => s.n / 2)"
            f" from (select id, row_number() over (order by id)::int as n from app.{table}) as s"
            " where s.id = t.id"
        )
    conn.execute("set local session_replication_role = origin")
    return conn


@pytest.mark.parametrize("role", BILLED)
@pytest.mark.parametrize(("view", "call"), BILLS)
def test_newest_invoices_and_payments_are_the_head_of_the_list(
    billed: Connection, dataset: RlsDataset, view: str, call: str, role: str
) -> None:
    head = (
        f"select t.id::text from api.{view} as t where t.created_at < %s"
        " order by t.created_at desc, t.id desc limit %s"
    )
    newest = f"select id::text from api.{call}(n => %s, before => %s)"
    for who, _ in visibility.callers(dataset, role):
        wanted = rows(billed, who, head, "infinity", 100)
        assert rows(billed, who, newest, 100, None) == wanted
        for before in rows(billed, who, f"select created_at from api.{view}"):
            assert rows(billed, who, newest, 2, before) == rows(billed, who, head, before, 2)
        assert wanted


@pytest.mark.parametrize(("view", "call"), BILLS)
def test_newest_invoices_and_payments_of_an_agent_of_many_partners(
    billed: Connection, dataset: RlsDataset, view: str, call: str
) -> None:
    add_partners(billed, dataset.west.partner, 1001)
    agent = dataset.west.agent
    wanted = rows(billed, agent, f"select id from api.{view} order by created_at desc, id desc limit 3")
    assert rows(billed, agent, f"select id from api.{call}(3)") == wanted != []


PAGED = [
    ("orders", "newest_orders", "created_at desc, id desc"),
    ("order_events", "newest_order_events", "created_at desc, id desc"),
    ("invoices", "newest_invoices", "created_at desc, id desc"),
    ("invoice_payments", "newest_payments", "created_at desc, id desc"),
    ("credit_notes", "newest_credit_notes", "created_at desc, id desc"),
    ("invoices", "earliest_due_invoices", "due_date, id"),
]


@pytest.mark.parametrize(
    ("view", "call", "order", "role"),
    [
        (view, *others, role)
        for view, *others in PAGED
        for role in (*BILLED, *(["subdist"] if view.startswith("order") else []))
    ],
)
@pytest.mark.parametrize("moments", [1, 3])
def test_pages_lose_no_row_of_the_same_moment(
    billed: Connection, dataset: RlsDataset, view: str, call: str, order: str, role: str, moments: int
) -> None:
    """Each page begins after the last row of the page before, also among rows of one transaction."""
    column = "due_date" if call == "earliest_due_invoices" else "created_at"
    billed.execute("set local session_replication_role = replica")
    if view == "order_events":
        billed.execute("update app.orders set created_at = now() - interval '9 hours'")
    billed.execute(
        f"update app.{view} as t set {column} = now() + (s.n - %s) * interval '1 hour'"
        f" from (select id, ntile(%s) over (order by id) as n from app.{view}) as s"
        " where s.id = t.id",
        [moments, moments],
    )
    billed.execute("set local session_replication_role = origin")
    for who, _ in visibility.callers(dataset, role):
        wanted = rows(billed, who, f"select t.id from api.{view} as t order by {order}")
        found: list[str] = []
        while page := rows(
            billed, who, f"select id from api.{call}(n => 2, after => %s)", found[-1] if found else None
        ):
            found += page
            assert len(found) <= len(wanted)
        assert found == wanted
        assert rows(billed, who, f"select id from api.{call}(100)") == wanted[:100] != []


@pytest.mark.parametrize(("view", "call", "order"), PAGED)
def test_lists_of_an_agent_of_many_partners_go_on_after_a_row(
    billed: Connection, dataset: RlsDataset, view: str, call: str, order: str
) -> None:
    add_partners(billed, dataset.west.partner, 1001)
    agent = dataset.west.agent
    first, *others = rows(billed, agent, f"select t.id from api.{view} as t order by {order} limit 3")
    assert rows(billed, agent, f"select id from api.{call}(n => 2, after => %s)", first) == others != []


@pytest.mark.parametrize(("view", "call", "order"), PAGED)
def test_a_page_reads_on_in_the_partner_whose_rows_come_first(
    billed: Connection, dataset: RlsDataset, view: str, call: str, order: str
) -> None:
    """With at least as many partners as rows, a partner's second row can precede another's first."""
    column = "due_date" if call == "earliest_due_invoices" else "created_at"
    billed.execute("set local session_replication_role = replica")
    billed.execute(
        "update app.partners set region_id = (select p.region_id from app.partners as p where p.id = %s)",
        [dataset.west.partner.sub],
    )
    billed.execute(
        f"update app.{view} as t set {column} = now() + s.n * interval '1 hour'"
        f" from (select id, row_number() over (order by partner_id, id)::int as n from app.{view}) as s"
        " where s.id = t.id"
    )
    billed.execute("set local session_replication_role = origin")
    agent = dataset.west.agent
    wanted = rows(billed, agent, f"select t.id from api.{view} as t order by {order}")
    for n in (1, 2, 3):
        assert rows(billed, agent, f"select id from api.{call}(%s)", n) == wanted[:n] != []


@pytest.mark.parametrize(("view", "call", "order"), PAGED)
def test_a_page_after_a_row_of_others_is_refused(
    billed: Connection, dataset: RlsDataset, view: str, call: str, order: str
) -> None:
    hidden = rows(billed, dataset.east.partner, f"select t.id from api.{view} as t order by {order} limit 1")
    with pytest.raises(psycopg.DatabaseError, match="NOT_FOUND"):
        rows(billed, dataset.west.agent, f"select id from api.{call}(n => 2, after => %s)", *hidden)


def test_a_page_begins_before_a_time_or_after_a_row_but_not_both(
    conn: Connection, dataset: RlsDataset
) -> None:
    with pytest.raises(psycopg.DatabaseError, match="not both"):
        rows(conn, dataset.admin, "select api.newest_orders(2, now(), %s)", dataset.admin.sub)
