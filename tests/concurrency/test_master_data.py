"""Concurrent changes of master data: no cycle, one superadmin, no lost change, no deadlock."""

from typing import Any

import psycopg
import pytest

from tests.support.calls import write
from tests.support.concurrency import Operation, api_call, assert_invariants, connect, run_concurrently
from tests.support.context import (
    Caller,
    Connection,
    Context,
    RefusedError,
    approve,
    call,
    items,
    line,
    make_context,
    submit,
    value,
)
from tests.support.factories import make_agent, make_partner


def writing(who: Caller, statement: str, *values: Any) -> Operation:
    return lambda conn: write(conn, who, statement, *values)


@pytest.fixture
def set_up(clone: Any) -> tuple[str, Context]:
    url = clone()
    with connect(url) as conn:
        return url, make_context(conn)


DBA = Caller("none")
"""psql: without the lock of the views."""


def by_psql(statement: str, *values: Any) -> Operation:
    """A statement on a table; raises RefusedError."""

    def run(conn: Connection) -> int:
        try:
            return conn.execute(statement.replace("api.", "app.").encode(), values).rowcount
        except psycopg.Error as error:
            raise (RefusedError.of(error) if error.sqlstate == "PGRST" else error) from None

    return run


def below(who: Caller, view: str, column: str, child: str, parent: str) -> Operation:
    statement = f"update api.{view} set {column} = %s where id = %s"
    return by_psql(statement, parent, child) if who is DBA else writing(who, statement, parent, child)


@pytest.mark.parametrize("attempt", range(5))
def test_concurrent_moves_close_no_cycle_of_regions(set_up: tuple[str, Context], attempt: int) -> None:
    url, context = set_up
    bandung, papua, root = (context.regions[name] for name in ("bandung", "papua", "id"))
    moves = [
        below(context.admin if attempt % 2 else DBA, "regions", "parent_region_id", papua, bandung),
        below(DBA, "regions", "parent_region_id", root, papua),
    ]
    run = run_concurrently(url, moves)
    assert (len(run.succeeded), run.refusals) == (1, {"INVALID_REGION": 1})


@pytest.mark.parametrize("attempt", range(5))
def test_concurrent_moves_close_no_cycle_of_categories(set_up: tuple[str, Context], attempt: int) -> None:
    url, context = set_up
    with connect(url) as conn:
        for slug in ("a", "b", "c"):
            conn.execute("insert into app.categories (name, slug) values (%s, %s)", [slug, slug])
        a, b, c = (
            str(value(conn, "select id from app.categories where slug = %s", slug))
            for slug in ("a", "b", "c")
        )
    writers = (context.admin, context.admin2, DBA) if attempt % 2 else (DBA, DBA, DBA)
    pairs = ((a, b), (b, c), (c, a))
    moves = [below(who, "categories", "parent_id", *pair) for who, pair in zip(writers, pairs, strict=True)]
    run = run_concurrently(url, moves)
    assert (len(run.succeeded), run.refusals) == (2, {"INVALID_CATEGORY": 1})


@pytest.mark.parametrize("attempt", range(5))
def test_superadmins_who_remove_each_other_leave_one(set_up: tuple[str, Context], attempt: int) -> None:
    url, _ = set_up
    with connect(url) as conn:
        who = [Caller("superadmin", make_agent(conn, None, role="SUPERADMIN").sub) for _ in range(3)]
    loss = "update api.agents set is_active = false where id = %s"
    if attempt % 2:
        run = run_concurrently(url, [writing(who[i], loss, who[(i + 1) % 3].sub) for i in range(3)])
    else:
        run = run_concurrently(url, [by_psql(loss, who[i].sub) for i in range(3)])
    with connect(url) as conn:
        left = value(conn, "select count(*) from app.agents where role = 'SUPERADMIN' and is_active")
    # who is removed first cannot write any more, so that between one and two are left
    assert left >= 1
    assert len(run.succeeded) == 3 - left


def test_of_two_patches_of_one_reading_one_is_applied(set_up: tuple[str, Context]) -> None:
    url, context = set_up
    partner = context.partners[0].sub
    with connect(url) as conn:
        at = value(conn, "select updated_at from app.partners where id = %s", partner)
    statement = "update api.partners set credit_limit = credit_limit + 1 where id = %s and updated_at = %s"
    run = run_concurrently(url, [writing(context.admin, statement, partner, at) for _ in range(6)])
    assert sorted(run.outcomes) == [0, 0, 0, 0, 0, 1]


def test_stock_entered_while_orders_arrive_deadlocks_with_none(set_up: tuple[str, Context]) -> None:
    url, context = set_up
    everything = [line(sku, 1) for sku in context.skus]
    backwards = (
        "insert into api.inventory (product_id, erp_stock) select id, 500 from api.products order by id desc"
        " on conflict (product_id) do update set erp_stock = excluded.erp_stock"
    )

    def order(partner: Caller, key: str) -> Operation:
        def submit(conn: Connection) -> Any:
            return call(conn, partner, "submit_order", items=everything, idempotency_key=key)

        return submit

    orders = [order(context.partners[i % 3], f"k{i}") for i in range(8)]
    run = run_concurrently(url, [*orders, *[writing(context.admin, backwards)] * 4])
    assert (len(run.succeeded), run.refusals) == (12, {})
    with connect(url) as conn:
        assert value(conn, "select array_agg(distinct reserved::int) from app.inventory") == [8]
        assert_invariants(conn)


def test_a_price_list_loaded_twice_at_once_is_entered_once(set_up: tuple[str, Context]) -> None:
    url, context = set_up
    load = (
        "insert into api.tier_prices (product_id, tier, price, effective_from, effective_until)"
        " select p.id, t, 1000, '2099-01-01'::date + n, '2099-01-02'::date + n from api.products p,"
        " unnest(enum_range(null::app.tier_enum)) t, generate_series(1, 100) n order by n {}"
    )

    def loading(way: str) -> Operation:
        def run(conn: Connection) -> str:
            try:
                write(conn, context.admin, load.format(way))
            except Exception as error:
                return str(getattr(error, "sqlstate", error))
            return "entered"

        return run

    run = run_concurrently(url, [loading("asc"), loading("desc"), loading("asc")])
    assert sorted(run.outcomes) == ["23P01", "23P01", "entered"]


def test_suspensions_and_orders_leave_no_order_behind(set_up: tuple[str, Context]) -> None:
    url, context = set_up
    suspend = "update api.sub_distributors set status = 'SUSPENDED' where id = %s"

    def order(partner: Caller, key: str) -> Operation:
        return lambda conn: call(conn, partner, "submit_order", items=items(SKU_000=1), idempotency_key=key)

    run = run_concurrently(
        url,
        [
            *[order(context.partners[i % 3], f"k{i}") for i in range(6)],
            *[writing(context.admin, suspend, subdist.sub) for subdist in context.subdists],
        ],
    )
    assert run.refusals == {}
    with connect(url) as conn:
        conn.execute("select jobs.sweep_service_level()")
        assert value(conn, "select count(*) from app.orders where routed_to_subdist_id is not null") == 0
        assert_invariants(conn)


def test_a_change_that_waits_too_long_is_refused_with_a_code_of_its_own(set_up: tuple[str, Context]) -> None:
    url, context = set_up
    with connect(url) as holder, connect(url) as conn:
        with holder.transaction():
            holder.execute("select pg_advisory_xact_lock(hashtext('app.master_data'))")
            conn.execute("set lock_timeout = '100ms'")  # the role's own is five seconds
            with pytest.raises(RefusedError) as refused:
                write(conn, context.admin, "insert into api.brands (name) values ('Baru')")
        assert (refused.value.code, refused.value.status) == ("CONCURRENT_CHANGE", 409)
        assert write(conn, context.admin, "insert into api.brands (name) values ('Baru')") == 1


def test_changing_all_partners_deadlocks_with_no_payment_of_the_erp(set_up: tuple[str, Context]) -> None:
    url, context = set_up
    with connect(url) as conn:
        home = context.regions["bandung"]
        more = [make_partner(conn, home, credit_limit=100_000_000) for _ in range(40)]
        payments = [
            {
                "invoice_number": approve(conn, context, submit(conn, who, items(SKU_000=1)))[
                    "invoice_number"
                ],
                "reference_number": f"TRF-{i}",
                "amount": 1000,
            }
            for i, who in enumerate(more)
        ]
        # the rows of the partners are now in another order than their ids
        for who in reversed(more):
            conn.execute("update app.partners set tier = tier where id = %s", [who.sub])
    booking = api_call(context.erp, "erp_apply_payments", payments=payments)
    change = writing(context.admin, "update api.partners set specialization = 'Warna'")
    run = run_concurrently(url, [booking, change] * 4)
    assert run.refusals == {}
    with connect(url) as conn:
        assert_invariants(conn)
