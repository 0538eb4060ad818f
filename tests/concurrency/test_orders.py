"""Stock, credit and idempotency when everybody comes at the same moment."""

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.concurrency import (
    Operation,
    api_call,
    assert_invariants,
    run_concurrently,
    running_repeatedly,
)
from tests.support.context import (
    Caller,
    Connection,
    approve,
    call,
    items,
    make_context,
    serving,
    shadow,
    submit,
    value,
)


def ordering(who: Caller, lines: list[dict[str, Any]], points: int = 0, key: str | None = None) -> Operation:
    return lambda conn: call(
        conn, who, "submit_order", items=lines, points=points, idempotency_key=key or str(uuid.uuid4())
    )


@pytest.mark.parametrize(("stock", "each", "served"), [(10, 1, 10), (95, 10, 9)])
def test_a_hundred_buyers_never_buy_more_than_there_is(
    url: str, conn: Connection, stock: int, each: int, served: int
) -> None:
    context = make_context(conn, partners=100, products=1, stock=stock)
    run = run_concurrently(url, [ordering(p, items(SKU_000=each)) for p in context.partners])
    assert len(run.succeeded) == served
    assert run.refusals == {"OUT_OF_STOCK": 100 - served}
    left = conn.execute("select erp_stock, reserved, display_stock from app.inventory").fetchone()
    assert left == (stock, served * each, stock - served * each)
    assert_invariants(conn)


def test_stock_syncs_between_a_hundred_buyers_resurrect_nothing(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=60, products=1, stock=20)
    levels = [{"sku": "SKU-000", "quantity": 20}]
    with running_repeatedly(url, api_call(context.erp, "erp_apply_stock", levels=levels)) as syncs:
        run = run_concurrently(url, [ordering(p, items(SKU_000=1)) for p in context.partners])
    assert len(syncs) > 1
    assert len(run.succeeded) == 20
    assert run.refusals == {"OUT_OF_STOCK": 40}
    assert_invariants(conn)


@pytest.mark.parametrize("policy", ["FLAG", "BLOCK"])
def test_fifty_orders_against_a_limit_that_holds_twenty(url: str, conn: Connection, policy: str) -> None:
    context = make_context(conn, partners=1, products=1, credit=2_000_000)
    call(conn, context.admin, "set_config", config_key="credit.over_limit_policy", config_value=policy)
    run = run_concurrently(url, [ordering(context.partners[0], items(SKU_000=1))] * 50)
    flagged = [o for o in run.succeeded if o["is_over_limit"]]
    used = value(conn, "select credit_used from app.partners")
    if policy == "FLAG":
        assert (len(run.succeeded), len(flagged), used) == (50, 30, 5_000_000)
        assert {o["routed_to_subdist_id"] for o in flagged} == {None}
    else:
        assert (len(run.succeeded), len(flagged), used) == (20, 0, 2_000_000)
        assert run.refusals == {"CREDIT_LIMIT_EXCEEDED": 30}
    assert_invariants(conn)


def test_the_same_key_forty_times_at_once_is_one_order(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    run = run_concurrently(url, [ordering(context.partners[0], items(SKU_000=2), key="once")] * 40)
    assert len({o["id"] for o in run.succeeded}) == 1
    assert not run.refusals
    assert value(conn, "select count(*) from app.orders") == 1
    assert value(conn, "select max(reserved) from app.inventory") == 2
    assert_invariants(conn)


def test_one_key_with_two_bodies_at_once_is_one_order_and_a_conflict(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    who = context.partners[0]
    run = run_concurrently(url, [ordering(who, items(SKU_000=1 + i % 2), key="once") for i in range(20)])
    assert len({o["id"] for o in run.succeeded}) == 1
    assert len(run.succeeded) == 10
    assert run.refusals == {"IDEMPOTENCY_CONFLICT": 10}
    assert_invariants(conn)


def test_points_are_used_once_by_ten_orders_at_once(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    who = context.partners[0]
    call(conn, context.admin, "adjust_points", partner_id=who.sub, points=250, reason="start")
    run = run_concurrently(url, [ordering(who, items(SKU_000=1), points=100) for _ in range(10)])
    assert len(run.succeeded) == 2
    assert run.refusals == {"POINTS_INSUFFICIENT": 8}
    assert value(conn, "select point_balance from app.partners") == 50
    assert_invariants(conn)


def test_two_agents_and_the_partner_submit_and_cancel_one_draft(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    who = context.partners[0]
    acting = [shadow(conn, agent, who) for agent in context.agents]
    submitted = 0
    for _ in range(8):
        draft = call(conn, who, "save_draft", items=items(SKU_000=3, SKU_001=1))
        operations: list[Operation] = [
            api_call(w, "submit_draft", order_id=draft["id"], idempotency_key=str(uuid.uuid4()))
            for w in (who, *acting)
        ]
        operations.append(api_call(who, "cancel_order", order_id=draft["id"]))
        run = run_concurrently(url, operations)
        won = [o for o in run.succeeded if o["status"] == "SUBMITTED"]
        assert len(won) <= 1, "a draft becomes one order"
        assert set(run.refusals) <= {"ILLEGAL_TRANSITION"}
        assert len(run.succeeded) + run.refusals.total() == 4
        submitted += len(won)
    assert submitted > 0
    assert_invariants(conn)


def test_an_order_is_cancelled_and_rejected_once_by_ten_people(url: str, conn: Connection) -> None:
    """Credit given back twice: magento/magento2#38815."""
    context = make_context(conn, partners=1)
    who = context.partners[0]
    order = submit(conn, who, items(SKU_000=5))
    run = run_concurrently(
        url,
        [api_call(who, "cancel_order", order_id=order["id"])] * 5
        + [api_call(context.admin, "reject_order", order_id=order["id"], reason="no")] * 5,
    )
    assert len(run.succeeded) == 1
    assert run.refusals == {"ILLEGAL_TRANSITION": 9}
    assert value(conn, "select credit_used from app.partners") == 0
    assert value(conn, "select sum(reserved) from app.inventory") == 0
    assert_invariants(conn)


def test_cancelling_and_acknowledging_by_the_erp_release_stock_once(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    who = context.partners[0]
    for i in range(6):
        order = submit(conn, who, items(SKU_000=5))
        approve(conn, context, order)
        run_concurrently(
            url,
            [
                api_call(who, "cancel_order", order_id=order["id"]),
                api_call(context.erp, "erp_ack_order", order_id=order["id"], erp_reference=f"S{i}"),
            ],
        )
        assert value(conn, "select sum(reserved) from app.inventory") == 0
    assert_invariants(conn)


def test_a_rerouting_while_the_sub_distributor_answers(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    outcomes = set()
    for i in range(16):
        order = submit(conn, context.partners[0], items(SKU_000=1))
        old = serving(conn, order)
        new = next(s for s in context.subdists if s.sub != old.sub)
        run = run_concurrently(
            url,
            [
                api_call(context.admin, "reroute_order", order_id=order["id"], subdist_id=new.sub),
                api_call(old, "respond_order", order_id=order["id"], decision=("ACCEPT", "DECLINE")[i % 2]),
            ],
        )
        assert set(run.refusals) <= {"NOT_FOUND"}, "who is no longer asked finds nothing to answer"
        assert serving(conn, order) == new, "headquarters has the last word"
        started = value(conn, "select last_response_at is null from app.orders where id = %s", order["id"])
        assert started, "the new sub-distributor has not answered yet"
        outcomes.add(run.refusals.total())
    assert_invariants(conn)


def test_answers_and_approvals_and_rejections_of_one_order_leave_a_legal_path(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=1)
    for _ in range(6):
        order = submit(conn, context.partners[0], items(SKU_000=1))
        serves = serving(conn, order)
        run = run_concurrently(
            url,
            [
                api_call(serves, "respond_order", order_id=order["id"], decision="ACCEPT"),
                api_call(context.admin, "approve_order", order_id=order["id"]),
                api_call(context.admin2, "approve_order", order_id=order["id"]),
                api_call(context.admin2, "reject_order", order_id=order["id"], reason="no"),
                api_call(context.partners[0], "cancel_order", order_id=order["id"]),
            ],
        )
        assert set(run.refusals) <= {"ILLEGAL_TRANSITION"}
        assert value(
            conn,
            "select count(*) from app.invoices where order_id = %s and status <> 'CANCELLED'",
            order["id"],
        ) == value(conn, "select (status = 'APPROVED')::int from app.orders where id = %s", order["id"])
    assert_invariants(conn)


def test_configs_and_prices_change_while_orders_are_made(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=12)
    product = context.products["SKU-000"]
    turn = iter(range(10_000))

    def change(c: Connection) -> None:
        i = next(turn)
        call(
            c,
            context.admin,
            "set_config",
            config_key="loyalty.rupiah_per_point",
            config_value=(5000, 10000)[i % 2],
        )
        c.execute("update app.products set base_price = %s where id = %s", [100_000 + i % 7, product])

    def many(who: Caller) -> Operation:
        return lambda c: [submit(c, who, items(SKU_000=6, SKU_001=1)) for _ in range(8)]

    with running_repeatedly(url, change) as changes:
        run = run_concurrently(url, [many(p) for p in context.partners])
    assert len(changes) > 3
    orders = [o for made in run.succeeded for o in made]
    assert len(orders) == 96
    pinned = {o["rules_applied"]["loyalty.rupiah_per_point"]["value"] for o in orders}
    assert pinned == {5000, 10000}, "both rules were met"
    for order in orders:  # `order_rules` checks the points of each against what it pinned
        risen = order["subtotal"] - 725_000
        assert risen in range(0, 42, 6), "all six units at one price"
    assert_invariants(conn)


def test_an_order_routed_at_the_moment_of_a_suspension_is_handed_over(url: str, conn: Connection) -> None:
    """Neither saw the other: the order would have waited a day for somebody who cannot answer."""
    context = make_context(conn, partners=1)
    first, second = context.subdists
    conn.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [second.sub])
    with psycopg.connect(url) as suspending:
        suspending.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [first.sub])
        order = submit(conn, context.partners[0], items(SKU_000=1))
        rerouted = submit(conn, context.partners[0], items(SKU_000=1))
        call(conn, context.admin, "reroute_order", order_id=rerouted["id"], subdist_id=first.sub)
    assert serving(conn, order) == first
    conn.execute("update app.sub_distributors set status = 'ACTIVE' where id = %s", [second.sub])
    value(conn, "select jobs.sweep_service_level()")
    assert serving(conn, order) == second
    assert serving(conn, rerouted) == second
    assert_invariants(conn)
