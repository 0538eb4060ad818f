"""Points: promised at submission, vested by the last rupiah, used, taken back, corrected."""

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.context import (
    Caller,
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    invoice_of,
    items,
    make_context,
    pay,
    refusal,
    submit,
    value,
)
from tests.support.factories import insert, of_partner, refused, told


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db, partners=3)


def balance(db: Connection, who: Caller) -> int:
    """The cached balance, after a look at the ledger."""
    cached = int(of_partner(db, who, "point_balance"))
    ledger = "select coalesce(sum(points), 0) from app.point_transactions where partner_id = %s"
    assert cached == value(db, ledger, who.sub)
    return cached


def vest(db: Connection) -> int:
    """Run the queue; how many invoices it took."""
    return int(value(db, "select jobs.process_point_queue()"))


def give(db: Connection, context: Context, who: Caller, points: int) -> None:
    call(db, context.admin, "adjust_points", partner_id=who.sub, points=points, reason="hadiah")


def configure(db: Connection, context: Context, key: str, number: Any) -> None:
    call(db, context.admin, "set_config", config_key=key, config_value=number)


@pytest.mark.parametrize(
    ("partner", "total", "promise"),
    [
        (0, "500000", 50), (1, "500000", 60), (2, "500000", 75),
        (0, "499999.99", 0), (2, "499999.99", 0),
        (0, "509999.99", 50), (0, "510000", 51), (1, "516666.66", 61), (1, "516666.67", 62),
        (2, "1234567.89", 185), (0, "100000000", 10_000),
    ],
)  # fmt: skip
def test_the_promise_is_rounded_down_from_the_threshold_on(
    db: Connection, context: Context, partner: int, total: str, promise: int
) -> None:
    db.execute("update app.products set base_price = %s where sku = 'SKU-000'", [total])
    order = submit(db, context.partners[partner], items(SKU_000=1))
    assert order["points_earned"] == promise
    assert order["is_eligible_for_points"] is (Decimal(total) >= 500_000)


def test_what_points_pay_earns_no_points(db: Connection, context: Context) -> None:
    who = context.partners[0]
    give(db, context, who, 3000)
    assert submit(db, who, items(SKU_000=6), points=1000)["points_earned"] == 50
    assert submit(db, who, items(SKU_000=6), points=1001)["points_earned"] == 0, "499,900 are left to pay"


def test_a_promise_stays_though_configs_and_tier_change(db: Connection, context: Context) -> None:
    who = context.partners[1]
    order = submit(db, who, items(SKU_000=10))
    for key, number in (
        ("loyalty.multiplier.gold", 3),
        ("loyalty.rupiah_per_point", 1),
        ("order.minimum_threshold", 10_000_000),
    ):
        configure(db, context, key, number)
    db.execute("update app.partners set tier = 'PLATINUM' where id = %s", [who.sub])
    pay(db, context, approve(db, context, order))
    vest(db)
    assert balance(db, who) == order["points_earned"] == 120
    assert value(db, "select multiplier from app.point_transactions") == Decimal("1.20")


@pytest.mark.parametrize(
    ("key", "number", "promise"),
    [
        ("order.minimum_threshold", 1_000_001, 0),
        ("order.minimum_threshold", 0, 100),
        ("loyalty.rupiah_per_point", 3000, 333),
        ("loyalty.multiplier.silver", 0, 0),
        ("loyalty.multiplier.silver", 2.5, 250),
        ("loyalty.multiplier.gold", 9, 100),
    ],
)
def test_the_promise_follows_the_configs_of_its_moment(
    db: Connection, context: Context, key: str, number: Any, promise: int
) -> None:
    configure(db, context, key, number)
    assert submit(db, context.partners[0], items(SKU_000=10))["points_earned"] == promise


def test_points_vest_with_the_last_rupiah_and_once(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=10))
    assert (vest(db), balance(db, who)) == (0, 0), "on order"
    invoice = approve(db, context, order)
    assert (vest(db), balance(db, who)) == (0, 0), "billed"
    pay(db, context, invoice, 999_999)
    assert (vest(db), balance(db, who)) == (0, 0), "all but a rupiah"
    pay(db, context, invoice, 1)
    assert balance(db, who) == 0, "by queue, not by the payment"
    assert (vest(db), balance(db, who)) == (1, 100)
    assert (vest(db), balance(db, who)) == (0, 100)
    db.execute("insert into app.point_queue (invoice_id) values (%s)", [invoice["id"]])
    assert (vest(db), balance(db, who)) == (1, 100), "put into the queue again by hand"
    row = "select type::text, points, order_id::text, invoice_id::text from app.point_transactions"
    assert db.execute(row).fetchall() == [("EARNED", 100, order["id"], invoice["id"])]
    assert told(db, "points_vested", who) == 1


def test_the_queue_takes_so_many_at_a_time(db: Connection, context: Context) -> None:
    for who in context.partners:
        pay(db, context, approve(db, context, submit(db, who, items(SKU_000=10))))
    assert [value(db, "select jobs.process_point_queue(2)") for _ in range(3)] == [2, 1, 0]
    assert [balance(db, who) for who in context.partners] == [100, 120, 150]


def billed_in_parts(db: Connection, context: Context, parts: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """An order of one million billed in parts; its promise and the invoices."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    whole = approve(db, context, order)
    call(db, context.admin, "cancel_invoice", invoice_id=whole["id"], reason="beberapa pengiriman")
    invoices = []
    for part in parts:
        db.execute("select app.issue_invoice(o, %s) from app.orders o where id = %s", [part, order["id"]])
        invoices.append(invoice_of(db, order))
    return order["points_earned"], invoices


@pytest.mark.parametrize(
    ("parts", "points"),
    [
        (["333333.33", "333333.33", "333333.34"], [33, 33, 34]),
        (["5000", "5000", "990000"], [0, 0, 100]),
        (["990000", "9999.99", "0.01"], [99, 0, 1]),
        (["600000", "400000"], [60, 40]),
    ],
)
@pytest.mark.parametrize("queue", ["after each", "at the end"])
def test_the_points_of_several_invoices_add_up_to_the_promise(
    db: Connection, context: Context, parts: list[str], points: list[int], queue: str
) -> None:
    promise, invoices = billed_in_parts(db, context, parts)
    for invoice in invoices:
        pay(db, context, invoice)
        if queue == "after each":
            vest(db)
    vest(db)
    vested = "select coalesce(sum(points), 0) from app.point_transactions where invoice_id = %s"
    assert [value(db, vested, i["id"]) for i in invoices] == points
    assert balance(db, context.partners[0]) == promise == 100


def test_a_part_that_is_not_paid_vests_nothing(db: Connection, context: Context) -> None:
    _, invoices = billed_in_parts(db, context, ["600000", "400000"])
    pay(db, context, invoices[1])
    vest(db)
    assert balance(db, context.partners[0]) == 40
    db.execute("insert into app.point_queue (invoice_id) values (%s)", [invoices[1]["id"]])
    assert (vest(db), balance(db, context.partners[0])) == (1, 40), "nor twice what is paid"


def test_a_cancelled_paid_invoice_takes_its_points_back_once(db: Connection, context: Context) -> None:
    who = context.partners[0]
    invoice = approve(db, context, submit(db, who, items(SKU_000=10)))
    pay(db, context, invoice)
    vest(db)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="barang kembali")
    assert balance(db, who) == 0
    with refused(db, "INVOICE_CLOSED"):
        call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="lagi")
    db.execute("insert into app.point_queue (invoice_id) values (%s)", [invoice["id"]])
    vest(db)
    call(db, who, "cancel_order", order_id=invoice["order_id"])
    assert balance(db, who) == 0
    rows = "select type::text, points, created_by::text from app.point_transactions order by id"
    assert db.execute(rows).fetchall() == [("EARNED", 100, None), ("ADJUSTED", -100, context.admin.sub)]


def test_an_invoice_cancelled_before_the_queue_ran_vests_nothing(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=10)))
    pay(db, context, invoice)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="barang kembali")
    assert (vest(db), balance(db, context.partners[0])) == (1, 0)
    assert value(db, "select count(*) from app.point_transactions") == 0


@pytest.mark.parametrize("end", ["cancel_order", "reject_order"])
def test_used_points_are_gone_at_once_and_come_back_once_if_the_order_dies(
    db: Connection, context: Context, end: str
) -> None:
    who = context.partners[0]
    give(db, context, who, 500)
    order = submit(db, who, items(SKU_000=10), points=300)
    assert (order["points_used"], order["point_discount"], order["grand_total"]) == (300, 30_000, 970_000)
    assert balance(db, who) == 200
    row = "select points, order_id::text from app.point_transactions where type = 'REDEEMED'"
    assert db.execute(row).fetchall() == [(-300, order["id"])]
    by = who if end == "cancel_order" else context.admin
    call(db, by, end, order_id=order["id"], reason="batal")
    assert balance(db, who) == 500
    with refused(db, "ILLEGAL_TRANSITION"):
        call(db, by, end, order_id=order["id"], reason="lagi")
    assert balance(db, who) == 500


def test_a_used_point_pays_what_the_config_says(db: Connection, context: Context) -> None:
    give(db, context, context.partners[0], 500)
    configure(db, context, "loyalty.point_value_rupiah", 250.5)
    assert submit(db, context.partners[0], items(SKU_000=1), points=3)["point_discount"] == Decimal("751.50")


@pytest.mark.parametrize(
    ("points", "code"),
    [(2001, "POINTS_INSUFFICIENT"), (1001, "POINTS_EXCEED_TOTAL"), (-1, "INVALID_ARGUMENT"), (1000, None)],
)
def test_points_pay_at_most_the_order_and_only_what_is_there(
    db: Connection, context: Context, points: int, code: str | None
) -> None:
    who = context.partners[0]
    give(db, context, who, 2000)
    ways: list[tuple[str, dict[str, Any]]] = [
        ("quote_order", {"items": items(SKU_000=1)}),
        ("submit_order", {"items": items(SKU_000=1), "idempotency_key": "a"}),
        ("submit_draft", {"order_id": call(db, who, "save_draft", items=items(SKU_000=1))["id"],
                          "idempotency_key": "b"}),
    ]  # fmt: skip
    if code is None:
        assert call(db, who, ways[1][0], **ways[1][1], points=points)["grand_total"] == 0
        return
    for function, arguments in ways:
        with refused(db, code):
            call(db, who, function, **arguments, points=points)
    assert balance(db, who) == 2000


def test_no_points_is_no_points_whether_null_or_nought(db: Connection, context: Context) -> None:
    order = call(
        db, context.partners[0], "submit_order", items=items(SKU_000=1), points=None, idempotency_key="k"
    )
    assert (order["points_used"], order["point_discount"]) == (0, 0)


def earned(db: Connection, who: Caller, invoice: dict[str, Any], points: int = 5, **columns: Any) -> None:
    row = {"partner_id": who.sub, "order_id": invoice["order_id"], "invoice_id": invoice["id"]}
    insert(db, "point_transactions", **(row | {"type": "EARNED", "points": points} | columns))


def test_points_are_earned_by_a_paid_invoice_of_the_same_partner_and_order_alone(
    db: Connection, context: Context
) -> None:
    who, other = context.partners[:2]
    invoice = approve(db, context, submit(db, who, items(SKU_000=1)))
    theirs = approve(db, context, submit(db, other, items(SKU_000=1)))
    pay(db, context, invoice, 99_999)
    with refused(db, "INVALID_ARGUMENT"):
        earned(db, who, invoice)
    pay(db, context, invoice, 1)
    for columns in ({"partner_id": other.sub}, {"order_id": theirs["order_id"]}, {"invoice_id": None}):
        with refused(db, "INVALID_ARGUMENT"):
            earned(db, who, invoice, **columns)
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        earned(db, who, invoice, points=-5)
    earned(db, who, invoice)
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        earned(db, who, invoice)
    assert (balance(db, who), balance(db, other)) == (5, 0)


def test_points_expire_by_an_admins_hand_alone(db: Connection, context: Context) -> None:
    who = context.partners[0]
    give(db, context, who, 50)
    row = {"partner_id": who.sub, "type": "EXPIRED", "points": -20}
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        insert(db, "point_transactions", **row)
    insert(db, "point_transactions", **row, created_by=context.admin.sub)
    assert balance(db, who) == 30


@pytest.mark.parametrize(
    ("points", "reason", "code"),
    [
        (0, "x", "INVALID_ARGUMENT"), (None, "x", "INVALID_ARGUMENT"), (5, "", "INVALID_ARGUMENT"),
        (5, None, "INVALID_ARGUMENT"), (1_000_000_001, "x", "INVALID_ARGUMENT"),
        (-2_147_483_648, "x", "INVALID_ARGUMENT"), (-51, "x", "POINTS_INSUFFICIENT"), (-50, "x", None),
    ],
)  # fmt: skip
def test_a_correction_has_a_reason_and_never_goes_below_nought(
    db: Connection, context: Context, points: int | None, reason: str | None, code: str | None
) -> None:
    who = context.partners[0]
    give(db, context, who, 50)
    given = {"partner_id": who.sub, "points": points, "reason": reason}
    if code is None:
        made = call(db, context.admin, "adjust_points", **given)
        assert (made["type"], made["description"]) == ("ADJUSTED", reason)
        assert (
            value(db, "select created_by::text from app.point_transactions where points < 0")
            == context.admin.sub
        )
        assert balance(db, who) == 0
        return
    with refused(db, code):
        call(db, context.admin, "adjust_points", **given)
    assert balance(db, who) == 50


def test_nobody_has_more_points_than_the_column_holds(db: Connection, context: Context) -> None:
    who = context.partners[0]
    give(db, context, who, 1_000_000_000)
    give(db, context, who, 1_000_000_000)
    with refused(db, "INVALID_ARGUMENT"):
        give(db, context, who, 1)
    with refused(db, "NOT_FOUND"):
        call(db, context.admin, "adjust_points", partner_id=context.admin.sub, points=1, reason="x")


def test_who_has_no_room_for_points_keeps_nobody_from_his(db: Connection) -> None:
    context = make_context(db, stock=1_000_000, credit=10**12)
    rich, other = context.partners[:2]
    configure(db, context, "loyalty.multiplier.silver", 100)
    configure(db, context, "loyalty.rupiah_per_point", 1)
    for _ in "ab":
        give(db, context, rich, 1_000_000_000)
    for who in (rich, other):
        pay(db, context, approve(db, context, submit(db, who, items(SKU_000=20))))
    assert vest(db) == 1
    assert balance(db, other) > 0
    assert broken_invariants(db) == {}
    # his wait for room, and come when there is some
    call(db, context.admin, "adjust_points", partner_id=rich.sub, points=-1_000_000_000, reason="x")
    assert vest(db) == 1
    assert balance(db, rich) == 1_200_000_000


def test_used_points_find_room_when_they_come_back(db: Connection) -> None:
    context = make_context(db, stock=1_000_000, credit=10**12)
    rich = context.partners[0]
    for _ in "ab":
        give(db, context, rich, 1_000_000_000)
    order = submit(db, rich, items(SKU_000=100_000), points=100_000_000)
    reward = call(db, rich, "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    more = {"partner_id": rich.sub, "points": 1, "reason": "x"}
    assert refusal(db, context.admin, "adjust_points", **more) == "INVALID_ARGUMENT"
    call(db, rich, "cancel_order", order_id=order["id"])
    call(db, context.admin, "advance_redemption", redemption_id=reward["id"], status="CANCELLED")
    assert balance(db, rich) == 2_000_000_000
