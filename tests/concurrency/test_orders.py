"""Stock, credit, points and idempotency under concurrent calls on orders."""

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
    adjust_points,
    approve,
    call,
    items,
    make_context,
    routed_subdist,
    shadow,
    submit,
    value,
)


def order_operation(
    partner: Caller, lines: list[dict[str, Any]], points: int = 0, key: str | None = None
) -> Operation:
    return lambda conn: call(
        conn, partner, "submit_order", items=lines, points=points, idempotency_key=key or str(uuid.uuid4())
    )


@pytest.mark.parametrize(("stock", "quantity", "served"), [(10, 1, 10), (95, 10, 9)])
def test_concurrent_orders_never_exceed_the_stock(
    url: str, conn: Connection, stock: int, quantity: int, served: int
) -> None:
    context = make_context(conn, partners=100, products=1, stock=stock)
    run = run_concurrently(
        url, [order_operation(partner, items(SKU_000=quantity)) for partner in context.partners]
    )
    assert len(run.succeeded) == served
    assert run.refusals == {"OUT_OF_STOCK": 100 - served}
    left = conn.execute("select erp_stock, reserved, display_stock from app.inventory").fetchone()
    assert left == (stock, served * quantity, stock - served * quantity)
    assert_invariants(conn)


def test_stock_syncs_during_orders_never_restore_reserved_units(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=60, products=1, stock=20)
    levels = [{"sku": "SKU-000", "quantity": 20}]
    with running_repeatedly(url, api_call(context.erp, "erp_apply_stock", levels=levels)) as syncs:
        run = run_concurrently(
            url, [order_operation(partner, items(SKU_000=1)) for partner in context.partners]
        )
    assert len(syncs) > 1
    assert len(run.succeeded) == 20
    assert run.refusals == {"OUT_OF_STOCK": 40}
    assert_invariants(conn)


@pytest.mark.parametrize("policy", ["FLAG", "BLOCK"])
def test_concurrent_orders_past_the_credit_limit_are_flagged_or_refused(
    url: str, conn: Connection, policy: str
) -> None:
    context = make_context(conn, partners=1, products=1, credit=2_000_000)
    call(conn, context.admin, "set_config", config_key="credit.over_limit_policy", config_value=policy)
    run = run_concurrently(url, [order_operation(context.partners[0], items(SKU_000=1))] * 50)
    flagged = [o for o in run.succeeded if o["is_over_limit"]]
    used = value(conn, "select credit_used from app.partners")
    if policy == "FLAG":
        assert (len(run.succeeded), len(flagged), used) == (50, 30, 5_000_000)
        assert {o["routed_to_subdist_id"] for o in flagged} == {None}
    else:
        assert (len(run.succeeded), len(flagged), used) == (20, 0, 2_000_000)
        assert run.refusals == {"CREDIT_LIMIT_EXCEEDED": 30}
    assert_invariants(conn)


def test_concurrent_submissions_with_one_key_create_one_order(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    run = run_concurrently(url, [order_operation(context.partners[0], items(SKU_000=2), key="once")] * 40)
    assert len({o["id"] for o in run.succeeded}) == 1
    assert not run.refusals
    assert value(conn, "select count(*) from app.orders") == 1
    assert value(conn, "select max(reserved) from app.inventory") == 2
    assert_invariants(conn)


def test_concurrent_submissions_with_one_key_and_two_bodies_create_one_order(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    run = run_concurrently(
        url, [order_operation(partner, items(SKU_000=1 + i % 2), key="once") for i in range(20)]
    )
    assert len({o["id"] for o in run.succeeded}) == 1
    assert len(run.succeeded) == 10
    assert run.refusals == {"IDEMPOTENCY_CONFLICT": 10}
    assert_invariants(conn)


def test_concurrent_orders_never_use_more_points_than_the_balance(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    adjust_points(conn, context.admin, partner, 250, "start")
    run = run_concurrently(url, [order_operation(partner, items(SKU_000=1), points=100) for _ in range(10)])
    assert len(run.succeeded) == 2
    assert run.refusals == {"POINTS_INSUFFICIENT": 8}
    assert value(conn, "select point_balance from app.partners") == 50
    assert_invariants(conn)


def test_draft_submitted_concurrently_becomes_at_most_one_order(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    shadows = [shadow(conn, agent, partner) for agent in context.agents]
    submitted = 0
    for _ in range(8):
        draft = call(conn, partner, "save_draft", items=items(SKU_000=3, SKU_001=1))
        operations: list[Operation] = [
            api_call(caller, "submit_draft", order_id=draft["id"], idempotency_key=str(uuid.uuid4()))
            for caller in (partner, *shadows)
        ]
        operations.append(api_call(partner, "cancel_order", order_id=draft["id"]))
        run = run_concurrently(url, operations)
        submissions = [o for o in run.succeeded if o["status"] == "SUBMITTED"]
        assert len(submissions) <= 1, "a draft becomes at most one order"
        assert set(run.refusals) <= {"ILLEGAL_TRANSITION"}
        assert len(run.succeeded) + run.refusals.total() == 4
        submitted += len(submissions)
    assert submitted > 0
    assert_invariants(conn)


@pytest.mark.regression("magento/magento2#38815")
def test_concurrent_cancellations_and_rejections_return_credit_and_stock_once(
    url: str, conn: Connection
) -> None:
    """In magento/magento2#38815 two handlers of one failed order each return its store credit."""
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    order = submit(conn, partner, items(SKU_000=5))
    run = run_concurrently(
        url,
        [api_call(partner, "cancel_order", order_id=order["id"])] * 5
        + [api_call(context.admin, "reject_order", order_id=order["id"], reason="no")] * 5,
    )
    assert len(run.succeeded) == 1
    assert run.refusals == {"ILLEGAL_TRANSITION": 9}
    assert value(conn, "select credit_used from app.partners") == 0
    assert value(conn, "select sum(reserved) from app.inventory") == 0
    assert_invariants(conn)


def test_concurrent_cancellation_and_erp_acknowledgement_release_stock_once(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=1)
    partner = context.partners[0]
    for i in range(6):
        order = submit(conn, partner, items(SKU_000=5))
        approve(conn, context, order)
        run_concurrently(
            url,
            [
                api_call(partner, "cancel_order", order_id=order["id"]),
                api_call(context.erp, "erp_ack_order", order_id=order["id"], erp_reference=f"S{i}"),
            ],
        )
        assert value(conn, "select sum(reserved) from app.inventory") == 0
    assert_invariants(conn)


def test_rerouting_prevails_over_a_concurrent_response_of_the_former_sub_distributor(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=1)
    for i in range(16):
        order = submit(conn, context.partners[0], items(SKU_000=1))
        old = routed_subdist(conn, order)
        new = next(s for s in context.subdists if s.sub != old.sub)
        run = run_concurrently(
            url,
            [
                api_call(context.admin, "reroute_order", order_id=order["id"], subdist_id=new.sub),
                api_call(old, "respond_order", order_id=order["id"], decision=("ACCEPT", "DECLINE")[i % 2]),
            ],
        )
        assert set(run.refusals) <= {"NOT_FOUND"}, "the former sub-distributor no longer sees the order"
        assert routed_subdist(conn, order) == new, "a response never undoes the rerouting"
        unanswered = value(conn, "select last_response_at is null from app.orders where id = %s", order["id"])
        assert unanswered, "the response of the former sub-distributor does not count for the new one"
    assert_invariants(conn)


def test_concurrent_decisions_leave_an_open_invoice_only_for_an_approved_order(
    url: str, conn: Connection
) -> None:
    context = make_context(conn, partners=1)
    for _ in range(6):
        order = submit(conn, context.partners[0], items(SKU_000=1))
        subdist = routed_subdist(conn, order)
        run = run_concurrently(
            url,
            [
                api_call(subdist, "respond_order", order_id=order["id"], decision="ACCEPT"),
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


def test_each_order_keeps_one_config_and_one_price_while_both_change(url: str, conn: Connection) -> None:
    context = make_context(conn, partners=12)
    product = context.products["SKU-000"]
    rounds = iter(range(10_000))

    def change(c: Connection) -> None:
        i = next(rounds)
        call(
            c,
            context.admin,
            "set_config",
            config_key="loyalty.rupiah_per_point",
            config_value=(5000, 10000)[i % 2],
        )
        c.execute("update app.products set base_price = %s where id = %s", [100_000 + i % 7, product])

    def submit_many(partner: Caller) -> Operation:
        return lambda c: [submit(c, partner, items(SKU_000=6, SKU_001=1)) for _ in range(8)]

    with running_repeatedly(url, change) as changes:
        run = run_concurrently(url, [submit_many(partner) for partner in context.partners])
    assert len(changes) > 3
    orders = [o for submitted in run.succeeded for o in submitted]
    assert len(orders) == 96
    pinned = {o["rules_applied"]["loyalty.rupiah_per_point"]["value"] for o in orders}
    assert pinned == {5000, 10000}, "orders were submitted under both values"
    for order in orders:  # the invariant `order_rules` checks their points against the pinned rules
        increase = order["subtotal"] - 725_000
        assert increase in range(0, 42, 6), "all six units have one price"
    assert_invariants(conn)


def test_order_routed_during_a_suspension_is_handed_over_by_the_sweep(url: str, conn: Connection) -> None:
    """The router does not see the uncommitted suspension, so the suspension does not see the order."""
    context = make_context(conn, partners=1)
    first, second = context.subdists
    conn.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [second.sub])
    with psycopg.connect(url) as suspending:
        suspending.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [first.sub])
        order = submit(conn, context.partners[0], items(SKU_000=1))
        rerouted = submit(conn, context.partners[0], items(SKU_000=1))
        call(conn, context.admin, "reroute_order", order_id=rerouted["id"], subdist_id=first.sub)
    assert routed_subdist(conn, order) == first
    conn.execute("update app.sub_distributors set status = 'ACTIVE' where id = %s", [second.sub])
    value(conn, "select jobs.sweep_service_level()")
    assert routed_subdist(conn, order) == second
    assert routed_subdist(conn, rerouted) == second
    assert_invariants(conn)
