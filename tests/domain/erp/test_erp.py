"""Exchange with the ERP: every call takes or returns a set and can be repeated."""

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Clone
from tests.support.calls import call_rpc, refused
from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    broken_invariants,
    call,
    grant_points,
    items,
    make_context,
    routed_subdist,
    submit,
    value,
)
from tests.support.factories import insert

pytestmark = pytest.mark.context(erp="csv")


def pending(db: Connection, context: Context, limit: int = 100) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = call(db, context.erp, "erp_pending_orders", max=limit)
    return orders


def pending_ids(conn: Connection, context: Context) -> list[str]:
    return [order["order_id"] for order in pending(conn, context)]


def apply_stock(db: Connection, context: Context, *levels: dict[str, Any]) -> Any:
    return call(db, context.erp, "erp_apply_stock", levels=list(levels))


def test_stock_levels_are_applied_and_unknown_skus_are_named_once(db: Connection, context: Context) -> None:
    given = [
        {"sku": "SKU-000", "quantity": 7},
        {"sku": "NIL-1", "quantity": 1},
        {"sku": "NIL-1", "quantity": 2},
    ]
    for _ in range(2):
        result = apply_stock(db, context, *given)
        assert result == {"applied": 1, "outdated": 0, "unknown_skus": ["NIL-1"], "out_of_range_skus": []}
        row = "select erp_stock, last_sync_at = now() from app.inventory where product_id = %s"
        assert db.execute(row, [context.products["SKU-000"]]).fetchone() == (7, True)
    assert apply_stock(db, context)["applied"] == 0


def test_last_level_of_a_product_in_a_batch_wins(db: Connection, context: Context) -> None:
    apply_stock(db, context, *({"sku": "SKU-000", "quantity": n} for n in (5, 9, 3)))
    stock = "select erp_stock from app.inventory where product_id = %s"
    assert value(db, stock, context.products["SKU-000"]) == 3


def test_level_of_a_product_without_stock_row_creates_it(db: Connection, context: Context) -> None:
    insert(db, "products", sku="NEW", name="New", base_price=1)
    assert apply_stock(db, context, {"sku": "NEW", "quantity": 4})["applied"] == 1
    assert value(db, "select display_stock from api.products where sku = 'NEW'") == 4


@pytest.mark.parametrize(
    "levels",
    [None, {}, "x", 7, [1], [None], [{}], [{"sku": "SKU-000"}], [{"sku": 7, "quantity": 1}],
     [{"sku": "SKU-000", "quantity": "1"}], [{"sku": "SKU-000", "quantity": None}],
     [{"sku": "SKU-000", "quantity": 1}, {"sku": "SKU-001"}]],
)  # fmt: skip
def test_malformed_stock_levels_are_refused_as_a_whole(db: Connection, context: Context, levels: Any) -> None:
    with refused(db, "INVALID_ARGUMENT"):
        call_rpc(db, context.erp, "erp_apply_stock", levels=Jsonb(levels))
    assert value(db, "select array_agg(distinct erp_stock) from app.inventory") == [1000]


def apply_products(db: Connection, context: Context, *products: dict[str, Any]) -> int:
    applied: int = call(db, context.erp, "erp_apply_products", products=list(products))["applied"]
    return applied


def test_products_are_created_changed_or_left_unchanged(db: Connection, context: Context) -> None:
    new = {"sku": " NEW ", "name": "Sampo", "base_price": 5000.5, "brand": "Alfa", "description": "wangi"}
    assert apply_products(db, context, new) == 1
    assert apply_products(db, context, new) == 0, "nothing changed"
    assert apply_products(db, context, new | {"base_price": 6000}) == 1
    row = db.execute(
        "select p.sku, p.name, p.base_price, b.name, p.description, p.is_active, s.erp_stock"
        " from app.products p join app.brands b on b.id = p.brand_id"
        " join app.inventory s on s.product_id = p.id where p.sku = 'NEW'"
    ).fetchone()
    assert row == ("NEW", "Sampo", 6000, "Alfa", "wangi", True, 0)


def test_fields_that_the_erp_omits_stay_unchanged(db: Connection, context: Context) -> None:
    full = {
        "sku": "NEW",
        "name": "A",
        "base_price": 1,
        "retail_price": 2,
        "brand": "Alfa",
        "description": "d",
    }
    bare = {"sku": "NEW", "name": "B", "base_price": 1}
    apply_products(db, context, full)
    apply_products(db, context, bare)
    row = db.execute(
        "select name, retail_price, description, brand_id is not null from app.products where sku = 'NEW'"
    ).fetchone()
    assert row == ("B", 2, "d", True)
    apply_products(db, context, bare | {"is_active": False})
    with refused(db, "UNKNOWN_SKU"):
        submit(db, context.partners[0], [{"sku": "NEW", "quantity": 1}])


@pytest.mark.parametrize(
    "change",
    [{"sku": None}, {"name": None}, {"base_price": "1"}, {"base_price": None}, {"retail_price": "1"},
     {"is_active": "yes"}],
)  # fmt: skip
def test_malformed_products_are_refused_as_a_whole(
    db: Connection, context: Context, change: dict[str, Any]
) -> None:
    good = {"sku": "NEW", "name": "A", "base_price": 1}
    with refused(db, "INVALID_ARGUMENT"):
        apply_products(db, context, good | {"sku": "OTHER"}, good | change)
    assert value(db, "select count(*) from app.products where sku in ('NEW', 'OTHER')") == 0


def test_approved_orders_are_pending_until_the_erp_acknowledges_them(
    db: Connection, context: Context
) -> None:
    first, second, third = (submit(db, who, items(SKU_001=2, SKU_000=1)) for who in context.partners)
    assert pending(db, context) == []
    invoices = [approve(db, context, order) for order in (first, second)]
    waiting = pending(db, context)
    assert [w["order_id"] for w in waiting] == [first["id"], second["id"]]
    assert [(i["sku"], i["quantity"], i["line_total"]) for i in waiting[0]["items"]] == [
        ("SKU-000", 1, 100_000),
        ("SKU-001", 2, 250_000),
    ]
    assert waiting[0]["invoices"][0]["invoice_number"] == invoices[0]["invoice_number"]
    assert waiting[0]["grand_total"] == 350_000
    assert [w["order_id"] for w in pending(db, context, 1)] == [first["id"]]
    assert pending(db, context) == waiting, "reading takes nothing"
    call(db, context.erp, "erp_ack_order", order_id=first["id"], erp_reference="SO-1")
    assert [w["order_id"] for w in pending(db, context)] == [second["id"]]
    call(db, context.partners[1], "cancel_order", order_id=second["id"])
    assert pending(db, context) == []
    assert third["status"] == "SUBMITTED"


@pytest.mark.parametrize("most", [0, -1, 1001, None])
def test_page_size_outside_1_to_1000_is_refused(db: Connection, context: Context, most: int | None) -> None:
    with refused(db, "INVALID_ARGUMENT"):
        call(db, context.erp, "erp_pending_orders", max=most)


def acknowledge(db: Connection, context: Context, order: dict[str, Any], reference: str | None) -> Any:
    return call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference=reference)


def test_order_is_acknowledged_once_with_one_reference(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    with refused(db, "ILLEGAL_TRANSITION"):
        acknowledge(db, context, order, "SO-1")
    approve(db, context, order)
    assert [acknowledge(db, context, order, "SO-1")["duplicate"] for _ in range(3)] == [False, True, True]
    with refused(db, "ERP_REFERENCE_CONFLICT") as why:
        acknowledge(db, context, order, "SO-2")
    assert why.details == "SO-1"
    for reference in (None, "", " ", "x" * 101):
        with refused(db, "INVALID_ARGUMENT"):
            acknowledge(db, context, order, reference)
    with refused(db, "NOT_FOUND"):
        acknowledge(db, context, {"id": context.admin.sub}, "SO-1")


def payment(invoice: dict[str, Any], **changes: Any) -> dict[str, Any]:
    good = {"invoice_number": invoice["invoice_number"], "amount": 1000, "reference_number": "A"}
    return good | changes


def test_each_payment_of_a_batch_has_its_own_result(db: Connection, context: Context) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    given = [
        payment(invoice, paid_at="2026-01-02T03:04:05+07:00", payment_method="Transfer", notes="n"),
        payment(invoice, reference_number=" A "),
        payment(invoice, amount=999),
        payment(invoice, amount=99_001, reference_number="B"),
        payment(invoice, invoice_number="INV-X"),
        payment(invoice, amount=99_000, reference_number="C"),
        payment(invoice, reference_number="D"),
    ]
    results = call(db, context.erp, "erp_apply_payments", payments=given)
    assert [r["result"] for r in results] == [
        "APPLIED", "DUPLICATE", "PAYMENT_REFERENCE_REUSED", "PAYMENT_EXCEEDS_DUE", "NOT_FOUND", "APPLIED",
        "INVOICE_CLOSED",
    ]  # fmt: skip
    booked = (
        "select amount, reference_number, payment_method, notes, recorded_by::text,"
        " paid_at = '2026-01-02T03:04:05+07:00' from app.invoice_payments order by id"
    )
    assert db.execute(booked).fetchall() == [
        (1000, "A", "Transfer", "n", None, True),
        (99_000, "C", None, None, None, False),
    ]
    assert value(db, "select status::text from app.invoices") == "PAID"


@pytest.mark.parametrize(
    "change",
    [{"invoice_number": None}, {"reference_number": None}, {"amount": "1"}, {"amount": None}, {"paid_at": 7},
     {"paid_at": {}}],
)  # fmt: skip
def test_malformed_payments_are_refused_as_a_whole(
    db: Connection, context: Context, change: dict[str, Any]
) -> None:
    invoice = approve(db, context, submit(db, context.partners[0], items(SKU_000=1)))
    with refused(db, "INVALID_ARGUMENT"):
        call(db, context.erp, "erp_apply_payments", payments=[payment(invoice), payment(invoice, **change)])
    assert value(db, "select count(*) from app.invoice_payments") == 0


@pytest.mark.parametrize(
    "odd",
    [
        "2026-01-31T00:00:00+99:00",
        "2026-01-31T00:00:00+24:00",
        "2026-01-31 00:00 Nowhere/Zone",
        "2026-02-31",
        "J2",
    ],
)
def test_payment_with_an_impossible_date_does_not_block_others(
    db: Connection, context: Context, odd: str
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    invoice = approve(db, context, order)
    rows = [payment(invoice, reference_number="A", paid_at=odd), payment(invoice, reference_number="B")]
    results = call(db, context.erp, "erp_apply_payments", payments=rows)
    assert [row["result"] for row in results] == ["INVALID_ARGUMENT", "APPLIED"]


def test_quarantined_level_with_many_digits_is_applied_to_the_new_product(
    db: Connection, context: Context
) -> None:
    """The quarantine truncates long payloads, but not a quantity."""
    levels = '[{"sku": "NEW", "quantity": 5.' + "0" * 10_001 + "}]"
    with caller(db, "erp", context.erp.sub):
        db.execute("select api.erp_apply_stock((%s)::jsonb)", [levels])
    apply_products(db, context, {"sku": "NEW", "name": "x", "base_price": 1})
    stock = (
        "select erp_stock from app.inventory s join app.products p on p.id = s.product_id where sku = 'NEW'"
    )
    assert value(db, stock) == 5


@pytest.mark.regression("airbytehq/airbyte#80152")
def test_order_approved_earlier_but_committed_later_becomes_pending(clone: Clone) -> None:
    """A cursor skipped rows whose transaction began before the run and committed after it."""
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as slow:
        context = make_context(conn, erp="csv")
        early, late = (submit(conn, context.partners[i], items(SKU_000=1)) for i in range(2))
        approve(slow, context, early)
        approve(conn, context, late)
        assert pending_ids(conn, context) == [late["id"]]
        acknowledge(conn, context, late, "SO-1")
        slow.commit()
        assert pending_ids(conn, context) == [early["id"]], "approved first, committed last"


def test_orders_approved_at_the_same_time_are_all_pending(db: Connection, context: Context) -> None:
    """A cursor that compares with `>` skips rows with equal timestamps; a page can end between them."""
    orders = [submit(db, who, items(SKU_000=1)) for who in context.partners]
    for order in orders:
        approve(db, context, order)
    assert value(db, "select count(distinct approved_at) from app.orders") == 1
    acknowledged: list[str] = []
    while page := pending(db, context, 1):
        acknowledge(db, context, {"id": page[0]["order_id"]}, f"SO-{len(acknowledged)}")
        acknowledged.append(page[0]["order_id"])
    assert sorted(acknowledged) == sorted(o["id"] for o in orders)
    assert broken_invariants(db) == {}


@pytest.mark.regression("odoo/odoo#208283")
def test_pending_order_shows_the_present_status_of_its_invoices(db: Connection, context: Context) -> None:
    """A changed child left its parent's `write_date` unchanged, so the change was not exported."""
    order = submit(db, context.partners[0], items(SKU_000=1))
    invoice = approve(db, context, order)
    [exported] = pending(db, context)
    assert [i["status"] for i in exported["invoices"]] == ["UNPAID"]
    call(db, context.erp, "erp_apply_payments", payments=[payment(invoice)])
    [exported] = pending(db, context)
    assert [i["status"] for i in exported["invoices"]] == ["PARTIAL"]


def test_unchanged_level_updates_the_time_of_synchronisation(db: Connection, context: Context) -> None:
    """Unchanged levels that are not recorded make the stock look stale."""
    db.execute("update app.inventory set last_sync_at = now() - interval '2 days'")
    call(db, context.erp, "erp_apply_stock", levels=[{"sku": "SKU-000", "quantity": 1000}])
    fresh = "select p.sku from app.inventory s join app.products p on p.id = s.product_id"
    rows = db.execute(fresh + " where s.last_sync_at = now()").fetchall()
    assert rows == [("SKU-000",)]


def test_pending_order_names_its_live_invoices_and_credit_notes(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=10))
    wrong = approve(db, context, order)
    call(db, context.admin, "cancel_invoice", invoice_id=wrong["id"], reason="salah")
    issued = {"order_id": order["id"], "amount": wrong["amount"], "reason": "salah"}
    right = call(db, context.admin, "issue_invoice", **issued, idempotency_key="k")
    call(db, context.admin, "ship_order", order_id=order["id"])
    returned = {"order_id": order["id"], "items": items(SKU_000=4), "reason": "rusak"}
    note = call(db, context.admin, "return_items", **returned, idempotency_key="k")
    (document,) = call(db, context.erp, "erp_pending_orders", max=10)
    assert [(i["invoice_number"], i["status"], i["amount_credited"]) for i in document["invoices"]] == [
        (wrong["invoice_number"], "CANCELLED", 0),
        (right["invoice_number"], "UNPAID", 400_000),
    ]
    (credited,) = document["credit_notes"]
    assert credited["credit_note_number"] == note["credit_note_number"]
    assert credited["items"] == [{"sku": "SKU-000", "quantity": 4, "amount": 400_000}]


def test_pending_order_of_zero_rupiah_has_no_invoice(db: Connection, context: Context) -> None:
    grant_points(db, context, context.partners[0], 1000)
    order = submit(db, context.partners[0], items(SKU_000=1), points=1000)
    call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    call(db, context.admin, "approve_order", order_id=order["id"])
    (document,) = call(db, context.erp, "erp_pending_orders", max=10)
    assert (document["invoices"], document["credit_notes"]) == ([], [])
