"""Points are promised at submission, vest with the last payment, are used, taken back and corrected."""

import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.calls import refused
from tests.support.context import (
    Caller,
    Connection,
    Context,
    adjust_points,
    approve,
    broken_invariants,
    call,
    grant_points,
    invoice_of,
    items,
    pay,
    refusal,
    set_config,
    submit,
    value,
)
from tests.support.factories import insert
from tests.support.queries import balance, message_count, vest_points


@pytest.mark.parametrize(
    ("partner", "total", "promise"),
    [
        (0, "500000", 50), (1, "500000", 60), (2, "500000", 75),
        (0, "499999.99", 0), (2, "499999.99", 0),
        (0, "509999.99", 50), (0, "510000", 51), (1, "516666.66", 61), (1, "516666.67", 62),
        (2, "1234567.89", 185), (0, "100000000", 10_000),
    ],
)  # fmt: skip
def test_promised_points_are_rounded_down_from_the_threshold_on(
    db: Connection, context: Context, partner: int, total: str, promise: int
) -> None:
    db.execute("update app.products set base_price = %s where sku = 'SKU-000'", [total])
    order = submit(db, context.partners[partner], items(SKU_000=1))
    assert order["points_earned"] == promise
    assert order["is_eligible_for_points"] is (Decimal(total) >= 500_000)


def test_amount_paid_with_points_earns_no_points(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 3000)
    assert submit(db, who, items(SKU_000=6), points=1000)["points_earned"] == 50
    assert submit(db, who, items(SKU_000=6), points=1001)["points_earned"] == 0, "Rp499,900 remain to be paid"


def test_promised_points_do_not_change_with_config_or_tier(db: Connection, context: Context) -> None:
    who = context.partners[1]
    order = submit(db, who, items(SKU_000=10))
    for key, number in (
        ("loyalty.multiplier.gold", 3),
        ("loyalty.rupiah_per_point", 1),
        ("order.minimum_threshold", 10_000_000),
    ):
        set_config(db, context, key, number)
    db.execute("update app.partners set tier = 'PLATINUM' where id = %s", [who.sub])
    pay(db, context, approve(db, context, order))
    vest_points(db)
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
def test_promised_points_follow_the_config_at_submission(
    db: Connection, context: Context, key: str, number: Any, promise: int
) -> None:
    set_config(db, context, key, number)
    assert submit(db, context.partners[0], items(SKU_000=10))["points_earned"] == promise


def test_points_vest_once_when_the_last_payment_arrives(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=10))
    assert (vest_points(db), balance(db, who)) == (0, 0), "on order"
    invoice = approve(db, context, order)
    assert (vest_points(db), balance(db, who)) == (0, 0), "billed"
    pay(db, context, invoice, 999_999)
    assert (vest_points(db), balance(db, who)) == (0, 0), "all but one rupiah is paid"
    pay(db, context, invoice, 1)
    assert balance(db, who) == 0, "the queue vests, not the payment"
    assert (vest_points(db), balance(db, who)) == (1, 100)
    assert (vest_points(db), balance(db, who)) == (0, 100)
    db.execute("insert into app.point_queue (invoice_id) values (%s)", [invoice["id"]])
    assert (vest_points(db), balance(db, who)) == (1, 100), "queued again by SQL"
    row = "select type::text, points, order_id::text, invoice_id::text from app.point_transactions"
    assert db.execute(row).fetchall() == [("EARNED", 100, order["id"], invoice["id"])]
    assert message_count(db, "points_vested", who) == 1


def test_point_queue_processes_at_most_its_limit(db: Connection, context: Context) -> None:
    for who in context.partners:
        pay(db, context, approve(db, context, submit(db, who, items(SKU_000=10))))
    assert [vest_points(db, 2) for _ in range(3)] == [2, 1, 0]
    assert [balance(db, who) for who in context.partners] == [100, 120, 150]


def billed_in_parts(db: Connection, context: Context, parts: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """An order of one million billed in parts; returns its promised points and its invoices."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    whole = approve(db, context, order)
    call(db, context.admin, "cancel_invoice", invoice_id=whole["id"], reason="beberapa pengiriman")
    invoices = []
    for part in parts:
        issued = {"order_id": order["id"], "amount": Decimal(part), "reason": "x"}
        call(db, context.admin, "issue_invoice", **issued, idempotency_key=str(uuid.uuid4()))
        invoices.append(invoice_of(db, order))
    return order["points_earned"], invoices


@pytest.mark.parametrize(
    ("parts", "points"),
    [
        (["333333.33", "333333.33", "333333.34"], [33, 33, 34]),
        (["5000", "5000", "990000"], [0, 1, 99]),
        (["990000", "9999.99", "0.01"], [99, 0, 1]),
        (["600000", "400000"], [60, 40]),
    ],
)
@pytest.mark.parametrize("queue", ["after each", "at the end"])
def test_points_of_several_invoices_add_up_to_the_promise(
    db: Connection, context: Context, parts: list[str], points: list[int], queue: str
) -> None:
    promise, invoices = billed_in_parts(db, context, parts)
    for invoice in invoices:
        pay(db, context, invoice)
        if queue == "after each":
            vest_points(db)
    vest_points(db)
    vested = "select coalesce(sum(points), 0) from app.point_transactions where invoice_id = %s"
    assert [value(db, vested, i["id"]) for i in invoices] == points
    assert balance(db, context.partners[0]) == promise == 100


def test_unpaid_invoice_of_several_vests_no_points(db: Connection, context: Context) -> None:
    _, invoices = billed_in_parts(db, context, ["600000", "400000"])
    pay(db, context, invoices[1])
    vest_points(db)
    assert balance(db, context.partners[0]) == 40
    db.execute("insert into app.point_queue (invoice_id) values (%s)", [invoices[1]["id"]])
    assert (vest_points(db), balance(db, context.partners[0])) == (1, 40), "a paid part vests once"


def test_cancelled_paid_invoice_takes_its_points_back_once(db: Connection, context: Context) -> None:
    who = context.partners[0]
    invoice = approve(db, context, submit(db, who, items(SKU_000=10)))
    pay(db, context, invoice)
    vest_points(db)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="barang kembali")
    assert balance(db, who) == 0
    with refused(db, "INVOICE_CLOSED"):
        call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="lagi")
    db.execute("insert into app.point_queue (invoice_id) values (%s)", [invoice["id"]])
    vest_points(db)
    call(db, who, "cancel_order", order_id=invoice["order_id"])
    assert balance(db, who) == 0
    rows = "select type::text, points, created_by::text from app.point_transactions order by id"
    assert db.execute(rows).fetchall() == [("EARNED", 100, None), ("ADJUSTED", -100, context.admin.sub)]
    taken_back = "select description from app.point_transactions where points = -100"
    assert value(db, taken_back) == f"{invoice['invoice_number']} dibatalkan"


def test_rejection_of_a_paid_order_takes_its_points_back(db: Connection, context: Context) -> None:
    who = context.partners[0]
    invoice = approve(db, context, submit(db, who, items(SKU_000=10)))
    pay(db, context, invoice)
    vest_points(db)
    assert balance(db, who) == 100
    call(db, context.admin, "reject_order", order_id=invoice["order_id"], reason="toko tutup")
    assert balance(db, who) == 0
    assert broken_invariants(db) == {}


def test_invoice_cancelled_before_processing_vests_no_points(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=10)))
    pay(db, context, invoice)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="barang kembali")
    assert (vest_points(db), balance(db, context.partners[0])) == (1, 0)
    assert value(db, "select count(*) from app.point_transactions") == 0


@pytest.mark.parametrize(("end", "words"), [("cancel_order", "dibatalkan"), ("reject_order", "ditolak")])
def test_used_points_are_deducted_at_submission_and_returned_once(
    db: Connection, context: Context, end: str, words: str
) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 500)
    order = submit(db, who, items(SKU_000=10), points=300)
    assert (order["points_used"], order["point_discount"], order["grand_total"]) == (300, 30_000, 970_000)
    assert balance(db, who) == 200
    row = "select points, order_id::text from app.point_transactions where type = 'REDEEMED'"
    assert db.execute(row).fetchall() == [(-300, order["id"])]
    actor = who if end == "cancel_order" else context.admin
    call(db, actor, end, order_id=order["id"], reason="batal")
    assert balance(db, who) == 500
    returned = "select description from app.point_transactions where points = 300"
    assert value(db, returned) == f"{order['order_number']} {words}"
    with refused(db, "ILLEGAL_TRANSITION"):
        call(db, actor, end, order_id=order["id"], reason="lagi")
    assert balance(db, who) == 500


def test_used_point_is_worth_the_configured_rupiah(db: Connection, context: Context) -> None:
    grant_points(db, context, context.partners[0], 500)
    set_config(db, context, "loyalty.point_value_rupiah", 250.5)
    assert submit(db, context.partners[0], items(SKU_000=1), points=3)["point_discount"] == Decimal("751.50")


@pytest.mark.parametrize(
    ("points", "code"),
    [(2001, "POINTS_INSUFFICIENT"), (1001, "POINTS_EXCEED_TOTAL"), (-1, "INVALID_ARGUMENT"), (1000, None)],
)
def test_used_points_are_limited_by_balance_and_total(
    db: Connection, context: Context, points: int, code: str | None
) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 2000)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("quote_order", {"items": items(SKU_000=1)}),
        ("submit_order", {"items": items(SKU_000=1), "idempotency_key": "a"}),
        ("submit_draft", {"order_id": call(db, who, "save_draft", items=items(SKU_000=1))["id"],
                          "idempotency_key": "b"}),
    ]  # fmt: skip
    if code is None:
        assert call(db, who, calls[1][0], **calls[1][1], points=points)["grand_total"] == 0
        return
    for function, arguments in calls:
        with refused(db, code):
            call(db, who, function, **arguments, points=points)
    assert balance(db, who) == 2000


def test_null_points_are_zero_points(db: Connection, context: Context) -> None:
    order = call(
        db, context.partners[0], "submit_order", items=items(SKU_000=1), points=None, idempotency_key="k"
    )
    assert (order["points_used"], order["point_discount"]) == (0, 0)


def insert_earned(
    db: Connection, who: Caller, invoice: dict[str, Any], points: int = 5, **columns: Any
) -> None:
    row = {"partner_id": who.sub, "order_id": invoice["order_id"], "invoice_id": invoice["id"]}
    insert(db, "point_transactions", **(row | {"type": "EARNED", "points": points} | columns))


def test_earned_row_requires_a_paid_invoice_of_the_same_partner_and_order(
    db: Connection, context: Context
) -> None:
    who, other = context.partners[:2]
    invoice = approve(db, context, submit(db, who, items(SKU_000=1)))
    theirs = approve(db, context, submit(db, other, items(SKU_000=1)))
    pay(db, context, invoice, 99_999)
    with refused(db, "INVALID_ARGUMENT"):
        insert_earned(db, who, invoice)
    pay(db, context, invoice, 1)
    for columns in ({"partner_id": other.sub}, {"order_id": theirs["order_id"]}, {"invoice_id": None}):
        with refused(db, "INVALID_ARGUMENT"):
            insert_earned(db, who, invoice, **columns)
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        insert_earned(db, who, invoice, points=-5)
    insert_earned(db, who, invoice)
    assert (balance(db, who), balance(db, other)) == (5, 0)


def test_expired_row_requires_an_author(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 50)
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
def test_point_correction_requires_a_reason_and_never_goes_below_zero(
    db: Connection, context: Context, points: int | None, reason: str | None, code: str | None
) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 50)
    given = {"partner_id": who.sub, "points": points, "reason": reason, "idempotency_key": "k"}
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


def test_point_correction_above_the_cap_is_refused(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 1_000_000_000)
    grant_points(db, context, who, 1_000_000_000)
    with refused(db, "INVALID_ARGUMENT"):
        grant_points(db, context, who, 1)
    with refused(db, "NOT_FOUND"):
        grant_points(db, context, context.admin, 1)


@pytest.mark.context(stock=1_000_000, credit=10**12)
def test_partner_at_point_cap_does_not_block_others(db: Connection, context: Context) -> None:
    rich, other = context.partners[:2]
    set_config(db, context, "loyalty.multiplier.silver", 100)
    set_config(db, context, "loyalty.rupiah_per_point", 1)
    for _ in "ab":
        grant_points(db, context, rich, 1_000_000_000)
    for who in (rich, other):
        pay(db, context, approve(db, context, submit(db, who, items(SKU_000=20))))
    assert vest_points(db) == 1
    assert balance(db, other) > 0
    assert broken_invariants(db) == {}
    # their points wait below the cap, and vest as soon as they fit
    adjust_points(db, context.admin, rich, -1_000_000_000, "x")
    assert vest_points(db) == 1
    assert balance(db, rich) == 1_200_000_000


@pytest.mark.context(stock=1_000_000, credit=10**12)
def test_used_points_are_returned_to_a_partner_at_point_cap(db: Connection, context: Context) -> None:
    rich = context.partners[0]
    for _ in "ab":
        grant_points(db, context, rich, 1_000_000_000)
    order = submit(db, rich, items(SKU_000=100_000), points=100_000_000)
    reward = call(db, rich, "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    more = {"partner_id": rich.sub, "points": 1, "reason": "x", "idempotency_key": "k"}
    assert refusal(db, context.admin, "adjust_points", **more) == "INVALID_ARGUMENT"
    call(db, rich, "cancel_order", order_id=order["id"])
    call(db, context.admin, "advance_redemption", redemption_id=reward["id"], status="CANCELLED")
    assert balance(db, rich) == 2_000_000_000


def paid_order(db: Connection, context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """An order that is paid and whose points have vested; returns it and its invoice."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    invoice = approve(db, context, order)
    pay(db, context, invoice, None, "BCA 1")
    vest_points(db)
    return order, invoice


def test_first_of_two_paid_invoices_vests_its_own_share_only(db: Connection, context: Context) -> None:
    """Both are paid before the queue is processed: the first must not vest the promise of the whole order."""
    promise, invoices = billed_in_parts(db, context, ["300000", "700000"])
    for invoice in invoices:
        pay(db, context, invoice)
    vest_points(db)
    vested = "select points from app.point_transactions where invoice_id = %s and type = 'EARNED'"
    assert [value(db, vested, i["id"]) for i in invoices] == [promise * 3 // 10, promise - promise * 3 // 10]
    assert broken_invariants(db) == {}


def test_promised_points_are_computed_without_intermediate_rounding(db: Connection, context: Context) -> None:
    """500,000 / 15,000 x 1.2 is exactly 40; a rounded quotient would promise 39 points."""
    set_config(db, context, "loyalty.rupiah_per_point", 15000)
    assert submit(db, context.partners[1], items(SKU_000=5))["points_earned"] == 40
    assert broken_invariants(db) == {}


@pytest.mark.context(credit=10**12, stock=100_000)
def test_promised_points_are_capped_at_the_column_limit(db: Connection, context: Context) -> None:
    """A point for each rupiah of a big order must not overflow the column, which would be a server error."""
    set_config(db, context, "loyalty.rupiah_per_point", 1)
    assert submit(db, context.partners[0], items(SKU_000=100_000))["points_earned"] == 1_000_000_000
    assert broken_invariants(db) == {}


@pytest.mark.regression("odoo/odoo#214137")
def test_points_are_awarded_once_through_settlement(db: Connection, context: Context) -> None:
    """Points were awarded at the order and again at settlement."""
    order, _ = paid_order(db, context)
    assert balance(db, context.partners[0]) == 100
    for transition in ("ship_order", "complete_order"):
        call(db, context.admin, transition, order_id=order["id"])
        vest_points(db)
    assert balance(db, context.partners[0]) == 100


@pytest.mark.regression("odoo/odoo#222372")
def test_repeated_payment_awards_no_points(db: Connection, context: Context) -> None:
    """A payment confirmed twice after a network fault was awarded twice."""
    _, invoice = paid_order(db, context)
    assert pay(db, context, invoice, None, "BCA 1")["duplicate"]
    vest_points(db)
    assert balance(db, context.partners[0]) == 100
    assert broken_invariants(db) == {}


@pytest.mark.regression("frappe/erpnext#32951")
@pytest.mark.regression("odoo/odoo#257854")
def test_points_of_a_cancelled_invoice_are_taken_back(db: Connection, context: Context) -> None:
    """Points of returned goods were kept, so that buying and returning earned points."""
    _, invoice = paid_order(db, context)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert balance(db, context.partners[0]) == 0
    vest_points(db)
    assert balance(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


@pytest.mark.regression("odoo/odoo#212922")
@pytest.mark.regression("odoo/odoo#221928")
@pytest.mark.regression("wpswings/points-and-rewards-for-woocommerce#112")
def test_used_points_are_returned_once_and_not_deducted_again(db: Connection, context: Context) -> None:
    """Used points were deducted a second time by the refund, or never returned."""
    who = context.partners[0]
    grant_points(db, context, who, 500)
    order = submit(db, who, items(SKU_000=10), points=300)
    invoice = approve(db, context, order)
    pay(db, context, invoice)
    vest_points(db)
    assert balance(db, context.partners[0]) == 500 - 300 + 97
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert balance(db, context.partners[0]) == 200
    call(db, who, "cancel_order", order_id=order["id"])
    assert balance(db, context.partners[0]) == 500
    assert broken_invariants(db) == {}


@pytest.mark.regression("frappe/erpnext#59050")
def test_point_discount_requires_deducted_points(db: Connection, context: Context) -> None:
    """The discount was granted without deducting the points."""
    who = context.partners[0]
    grant_points(db, context, who, 500)
    order = submit(db, who, items(SKU_000=10), points=300)
    assert order["point_discount"] == 30_000
    assert balance(db, context.partners[0]) == 200
    code = refusal(
        db, who, "submit_order", items=items(SKU_000=10), points=300, idempotency_key="beyond the balance"
    )
    assert code == "POINTS_INSUFFICIENT"
    draft = call(db, who, "save_draft", items=items(SKU_000=10))
    submitted = call(db, who, "submit_draft", order_id=draft["id"], points=200, idempotency_key="k")
    assert submitted["point_discount"] == 20_000
    assert balance(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


def test_partly_paid_cancelled_invoice_vests_no_points(db: Connection, context: Context) -> None:
    """Points vest with the last payment, which a cancelled invoice never receives."""
    order = submit(db, context.partners[0], items(SKU_000=10))
    invoice = approve(db, context, order)
    pay(db, context, invoice, invoice["amount"] - 1)
    vest_points(db)
    assert balance(db, context.partners[0]) == 0
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    vest_points(db)
    assert balance(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


def test_taking_back_spent_points_leaves_a_negative_balance(db: Connection, context: Context) -> None:
    """The balance goes below zero, and a partner in debt cannot redeem."""
    _, invoice = paid_order(db, context)
    who = context.partners[0]
    call(db, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="retur")
    assert balance(db, context.partners[0]) == -50
    code = refusal(db, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="l")
    assert code == "POINTS_INSUFFICIENT"
    assert broken_invariants(db) == {}
