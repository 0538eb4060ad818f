"""Returned goods: credit notes, the invoices that they lower, and the points that they move."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from tests.support.calls import refused
from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    grant_points,
    items,
    line,
    pay,
    routed_subdist,
    set_config,
    submit,
    value,
)
from tests.support.queries import balance, credit_used, message_count, stock, vest_points

Row = dict[str, Any]


def shipped(
    db: Connection,
    context: Context,
    lines: list[Row] | None = None,
    points: int = 0,
    parts: tuple[Any, ...] = (),
) -> tuple[Row, list[Row]]:
    """A shipped order, by default of one million, billed in one invoice or in parts due one after another."""
    order = submit(db, context.partners[0], lines or items(SKU_000=10), points=points)
    invoices = [approve(db, context, order)]
    if parts:
        call(db, context.admin, "cancel_invoice", invoice_id=invoices[0]["id"], reason="dua bagian")
        invoices = [issue(db, context, order, part, i) for i, part in enumerate(parts)]
    call(db, context.admin, "ship_order", order_id=order["id"])
    return order, invoices


def issue(db: Connection, context: Context, order: Row, amount: Any, number: int = 0) -> Row:
    arguments = {"order_id": order["id"], "amount": amount, "reason": "dua bagian"}
    invoice: Row = call(
        db, context.admin, "issue_invoice", **arguments, due_date=f"2027-01-{number + 1:02}T00:00:00Z",
        idempotency_key=str(uuid.uuid4()),
    )  # fmt: skip
    return invoice


def give_back(db: Connection, context: Context, order: Row, lines: list[Row], **more: Any) -> Row:
    arguments = {"order_id": order["id"], "items": lines, "reason": "rusak"}
    arguments |= {"idempotency_key": str(uuid.uuid4())} | more
    note: Row = call(db, context.admin, "return_items", **arguments)
    return note


def amounts(db: Connection, invoices: list[Row]) -> list[tuple[Any, ...]]:
    """Status, credited, due and refundable rupiah of each invoice."""
    query = "select status::text, amount_credited, amount_due, refund_due from api.invoices where id = %s"
    return [row for i in invoices for row in db.execute(query, [i["id"]])]


def test_returned_goods_lower_the_invoice(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order, invoices = shipped(db, context)
    before = stock(db)
    note = give_back(db, context, order, items(SKU_000=4))
    assert (note["amount"], note["points_returned"], note["reason"]) == (400_000, 0, "rusak")
    assert amounts(db, invoices) == [("UNPAID", 400_000, 600_000, 0)]
    assert credit_used(db, who) == 600_000
    assert stock(db) == before, "the ERP's next level counts the goods"
    assert value(db, "select returned_quantity from api.order_items") == 4
    assert message_count(db, "credit_note_issued", who) == 1
    pay(db, context, invoices[0], 600_000)
    vest_points(db)
    assert (credit_used(db, who), balance(db, who)) == (0, 60)
    assert broken_invariants(db) == {}


def test_return_of_paid_goods_is_due_to_the_partner(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order, invoices = shipped(db, context)
    pay(db, context, invoices[0])
    vest_points(db)
    give_back(db, context, order, items(SKU_000=4))
    assert amounts(db, invoices) == [("PAID", 400_000, 0, 400_000)]
    assert balance(db, who) == 60
    assert message_count(db, "refund_due", context.admin) == 1
    refund = {"invoice_id": invoices[0]["id"], "amount": 400_000, "reason": "retur"}
    call(db, context.admin, "record_refund", **refund, idempotency_key="k")
    assert amounts(db, invoices) == [("PAID", 400_000, 0, 0)]
    assert balance(db, who) == 60
    assert broken_invariants(db) == {}


def test_credit_goes_to_open_invoices_first_earliest_due_then_to_paid_ones_newest_first(
    db: Connection, context: Context
) -> None:
    order, invoices = shipped(db, context, parts=(300_000, 200_000, 200_000, 300_000))
    pay(db, context, invoices[0])
    pay(db, context, invoices[2])
    give_back(db, context, order, items(SKU_000=3))
    assert amounts(db, invoices) == [
        ("PAID", 0, 0, 0), ("PAID", 200_000, 0, 0), ("PAID", 0, 0, 0), ("UNPAID", 100_000, 200_000, 0),
    ]  # fmt: skip
    give_back(db, context, order, items(SKU_000=3))
    assert amounts(db, invoices) == [
        ("PAID", 0, 0, 0), ("PAID", 200_000, 0, 0), ("PAID", 100_000, 0, 100_000), ("PAID", 300_000, 0, 0),
    ]  # fmt: skip
    give_back(db, context, order, items(SKU_000=4))
    assert amounts(db, invoices) == [
        ("PAID", 300_000, 0, 300_000), ("PAID", 200_000, 0, 0), ("PAID", 200_000, 0, 200_000),
        ("PAID", 300_000, 0, 0),
    ]  # fmt: skip
    vest_points(db)
    assert balance(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


def test_credit_that_settles_an_invoice_vests_its_points_by_the_queue(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    order, invoices = shipped(db, context)
    pay(db, context, invoices[0], 600_000)
    give_back(db, context, order, items(SKU_000=4))
    assert amounts(db, invoices) == [("PAID", 400_000, 0, 0)]
    assert value(db, "select paid_at = now() from app.invoices")
    assert balance(db, who) == 0
    vest_points(db)
    assert balance(db, who) == 60
    assert broken_invariants(db) == {}


@pytest.mark.regression("frappe/erpnext PR 30242")
@pytest.mark.parametrize("steps", [[3], [1, 2], [2, 1], [1, 1, 1]])
def test_used_points_come_back_pro_rata_and_credits_add_up(
    db: Connection, context: Context, steps: list[int]
) -> None:
    """The shares are rounded down, and the last return takes what rounding has left."""
    who = context.partners[0]
    grant_points(db, context, who, 100)
    order, invoices = shipped(db, context, items(SKU_000=3), points=100)
    assert order["grand_total"] == 290_000
    notes = [give_back(db, context, order, items(SKU_000=n)) for n in steps]
    if len(steps) == 3:
        assert [n["amount"] for n in notes] == [Decimal("96666.66"), Decimal("96666.66"), Decimal("96666.68")]
        assert [n["points_returned"] for n in notes] == [33, 33, 34]
    assert sum(n["amount"] for n in notes) == 290_000
    assert balance(db, who) == 100
    assert amounts(db, invoices) == [("PAID", 290_000, 0, 0)]
    assert broken_invariants(db) == {}


@pytest.mark.regression("frappe/erpnext PR 30242")
def test_returned_order_of_zero_rupiah_gives_its_points_back(db: Connection, context: Context) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 2000)
    order = submit(db, who, items(SKU_000=2), points=2000)
    call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    for transition in ("approve_order", "ship_order"):
        call(db, context.admin, transition, order_id=order["id"])
    note = give_back(db, context, order, items(SKU_000=1))
    assert (note["amount"], note["points_returned"], balance(db, who)) == (0, 1000, 1000)
    assert broken_invariants(db) == {}


def test_quantity_discount_and_threshold_are_not_judged_again(db: Connection, context: Context) -> None:
    who = context.partners[0]
    db.execute(
        "insert into app.tier_prices"
        " (product_id, tier, price, min_qty_discount, discount_price, effective_from)"
        " values (%s, 'SILVER', 100000, 5, 90000, now() - interval '1 day')",
        [context.products["SKU-000"]],
    )
    order, invoices = shipped(db, context, items(SKU_000=6))
    note = give_back(db, context, order, items(SKU_000=4))
    assert note["amount"] == 360_000
    pay(db, context, invoices[0], 180_000)
    vest_points(db)
    assert balance(db, who) == 54 * 2 // 6, "also below the threshold of 500,000"
    assert broken_invariants(db) == {}


def test_no_more_is_returned_than_was_shipped(db: Connection, context: Context) -> None:
    order, _ = shipped(db, context, items(SKU_000=10, SKU_001=1))
    give_back(db, context, order, items(SKU_000=4))
    with refused(db, "RETURN_EXCEEDS_SHIPPED") as why:
        give_back(db, context, order, items(SKU_000=7, SKU_001=1))
    assert why.details == "SKU-000: 6"
    with refused(db, "RETURN_EXCEEDS_SHIPPED"):
        give_back(db, context, order, [line("SKU-000", 4), line("SKU-000", 3)])
    with refused(db, "UNKNOWN_SKU") as why:
        give_back(db, context, order, items(SKU_002=1, SKU_001=1))
    assert why.details == "SKU-002"
    give_back(db, context, order, [line("SKU-000", 4), line("SKU-000", 2)])
    assert broken_invariants(db) == {}


def test_withdrawn_product_can_be_returned(db: Connection, context: Context) -> None:
    order, _ = shipped(db, context)
    db.execute("update app.products set is_active = false")
    assert give_back(db, context, order, items(SKU_000=1))["amount"] == 100_000


def test_only_shipped_goods_are_returned(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=10))
    with refused(db, "NOT_RETURNABLE"):
        give_back(db, context, order, items(SKU_000=1))
    approve(db, context, order)
    with refused(db, "NOT_RETURNABLE"):
        give_back(db, context, order, items(SKU_000=1))
    for transition in ("ship_order", "complete_order"):
        call(db, context.admin, transition, order_id=order["id"])
        give_back(db, context, order, items(SKU_000=1))


def test_repeated_return_is_booked_once(db: Connection, context: Context) -> None:
    order, invoices = shipped(db, context)
    first = give_back(db, context, order, items(SKU_000=4), idempotency_key="k")
    assert give_back(db, context, order, items(SKU_000=4), idempotency_key="k")["id"] == first["id"]
    with refused(db, "IDEMPOTENCY_CONFLICT"):
        give_back(db, context, order, items(SKU_000=3), idempotency_key="k")
    for missing in ("reason", "idempotency_key"):
        with refused(db, "INVALID_ARGUMENT"):
            give_back(db, context, order, items(SKU_000=4), **{missing: None})
    assert amounts(db, invoices) == [("UNPAID", 400_000, 600_000, 0)]


def test_credit_of_a_cancelled_invoice_goes_to_the_next_one(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order, (wrong,) = shipped(db, context)
    give_back(db, context, order, items(SKU_000=4))
    call(db, context.admin, "cancel_invoice", invoice_id=wrong["id"], reason="salah")
    assert credit_used(db, who) == 1_000_000
    right = issue(db, context, order, 1_000_000)
    assert amounts(db, [wrong, right]) == [("CANCELLED", 400_000, 0, 0), ("UNPAID", 400_000, 600_000, 0)]
    pay(db, context, right, 600_000)
    vest_points(db)
    assert (credit_used(db, who), balance(db, who)) == (0, 60)
    assert broken_invariants(db) == {}


def test_goods_returned_while_the_order_is_unbilled_lower_the_next_invoice(
    db: Connection, context: Context
) -> None:
    order, (wrong,) = shipped(db, context)
    call(db, context.admin, "cancel_invoice", invoice_id=wrong["id"], reason="salah")
    give_back(db, context, order, items(SKU_000=10))
    before = message_count(db, "invoice_issued")
    assert amounts(db, [issue(db, context, order, 1_000_000)]) == [("PAID", 1_000_000, 0, 0)]
    assert message_count(db, "invoice_issued") == before, "no bill over Rp0 is sent"
    vest_points(db)
    assert balance(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


def test_what_was_written_off_is_not_refunded(db: Connection, context: Context) -> None:
    order, invoices = shipped(db, context)
    pay(db, context, invoices[0], 997_500)
    call(db, context.admin, "write_off", invoice_id=invoices[0]["id"], reason="biaya bank")
    vest_points(db)
    for units in (4, 6):
        give_back(db, context, order, items(SKU_000=units))
    assert amounts(db, invoices) == [("PAID", 997_500, 0, 997_500)]
    assert balance(db, context.partners[0]) == 0
    assert broken_invariants(db) == {}


def test_points_of_a_partly_billed_order_follow_the_formula(db: Connection, context: Context) -> None:
    """promise' is rounded down before it is shared; each step books one row."""
    who = context.partners[0]
    set_config(db, context, "loyalty.rupiah_per_point", 30_000)
    order, invoices = shipped(db, context, parts=(400_000, 600_000))
    assert order["points_earned"] == 33
    pay(db, context, invoices[0])
    vest_points(db)
    assert balance(db, who) == 13
    give_back(db, context, order, items(SKU_000=3))  # 23 of 700,000
    assert balance(db, who) == 23 * 4 // 7
    pay(db, context, invoices[1], 300_000)
    vest_points(db)
    assert balance(db, who) == 23
    rows = db.execute("select type::text, points from app.point_transactions order by id").fetchall()
    assert sum(points for _, points in rows) == 23
    assert broken_invariants(db) == {}


@pytest.mark.regression("frappe/erpnext PR 30242")
def test_case_of_goods_that_come_back_with_used_points(db: Connection, context: Context) -> None:
    """Case rule-19: 1,000 points used, the order paid and vested, everything comes back."""
    who = context.partners[1]
    db.execute("update app.products set base_price = 80000")
    grant_points(db, context, who, 1000)
    order = submit(db, who, items(SKU_000=10), points=1000)
    assert (order["grand_total"], order["points_earned"]) == (700_000, 84)
    invoice = approve(db, context, order)
    for transition in ("ship_order", "complete_order"):
        call(db, context.admin, transition, order_id=order["id"])
    pay(db, context, invoice)
    vest_points(db)
    assert balance(db, who) == 84
    give_back(db, context, order, items(SKU_000=10))
    assert balance(db, who) == 1000
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="barang dikembalikan")
    assert balance(db, who) == 1000
    assert broken_invariants(db) == {}


def test_partner_and_agent_read_credit_notes_and_the_subdist_only_units(
    db: Connection, context: Context
) -> None:
    order, _ = shipped(db, context)
    give_back(db, context, order, items(SKU_000=4))
    subdist = routed_subdist(db, order)
    for who, amount in ((context.partners[0], 400_000), (context.partners[1], None)):
        with caller(db, who.role, who.sub):
            rows = db.execute("select amount from api.credit_notes").fetchall()
            assert rows == ([(amount,)] if amount else [])
    with caller(db, subdist.role, subdist.sub):
        assert db.execute("select returned_quantity from api.order_items").fetchall() == [(4,)]


def test_return_is_refused_while_the_balance_has_no_room_for_its_points(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    grant_points(db, context, who, 100)
    order, _ = shipped(db, context, items(SKU_000=3), points=100)
    for points in (1_000_000_000, 999_999_950):
        grant_points(db, context, who, points)
    with refused(db, "INVALID_ARGUMENT"):
        give_back(db, context, order, items(SKU_000=3))
    assert value(db, "select count(*) from app.credit_notes") == 0
    grant_points(db, context, who, -50)
    give_back(db, context, order, items(SKU_000=3))
    assert balance(db, who) == 2_000_000_000


def test_return_without_room_for_points_that_rounding_frees_is_refused(
    db: Connection, context: Context
) -> None:
    """2 points of 400,000: 1 of the remaining 300,000, of which 200,000 earn 0; then 1 of 200,000."""
    who = context.partners[0]
    set_config(db, context, "loyalty.rupiah_per_point", 200_000)
    set_config(db, context, "order.minimum_threshold", 0)
    order, invoices = shipped(db, context, items(SKU_000=4), parts=(200_000, 200_000))
    assert order["points_earned"] == 2
    pay(db, context, invoices[0])
    vest_points(db)
    give_back(db, context, order, items(SKU_000=1))
    assert balance(db, who) == 0
    for points in (1_000_000_000, 1_000_000_000):
        grant_points(db, context, who, points)
    with refused(db, "INVALID_ARGUMENT"):
        give_back(db, context, order, items(SKU_000=1))
    grant_points(db, context, who, -1)
    give_back(db, context, order, items(SKU_000=1))
    assert balance(db, who) == 2_000_000_000
    assert broken_invariants(db) == {}


def test_what_was_written_off_earns_no_more_than_the_goods_that_stay(
    db: Connection, context: Context
) -> None:
    who = context.partners[0]
    set_config(db, context, "loyalty.rupiah_per_point", 100)
    db.execute("update app.products set base_price = 5000 where sku = 'SKU-000'")
    order, invoices = shipped(db, context, items(SKU_000=200))
    pay(db, context, invoices[0], 990_000)
    call(db, context.admin, "write_off", invoice_id=invoices[0]["id"], reason="biaya bank")
    vest_points(db)
    assert balance(db, who) == 10_000
    give_back(db, context, order, items(SKU_000=199))
    assert amounts(db, invoices) == [("PAID", 990_000, 0, 990_000)]
    assert balance(db, who) == 50
    assert broken_invariants(db) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"sku": "SKU-000"}],
        [{"sku": "SKU-000", "quantity": 0}],
        [{"sku": "SKU-000", "quantity": 1.5}],
        [{"sku": "SKU-000", "quantity": 1, "note": "rusak"}],
    ],
)
def test_malformed_items_are_not_returned(db: Connection, context: Context, wrong: list[Row]) -> None:
    order, _ = shipped(db, context)
    with refused(db, "INVALID_ITEMS"):
        give_back(db, context, order, wrong)
    assert value(db, "select count(*) from app.credit_notes") == 0


@pytest.mark.parametrize("table", ["credit_notes", "credit_note_items", "invoice_credits"])
def test_return_written_by_a_superuser_is_refused_with_the_name_of_the_call(
    db: Connection, table: str
) -> None:
    with refused(db, "NOT_ALLOWED") as why:
        db.execute(f"insert into app.{table} default values".encode())
    assert "api.return_items" in (why.hint or "")
