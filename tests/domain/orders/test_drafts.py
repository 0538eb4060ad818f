"""Drafts can be edited until they are submitted."""

import pytest

from tests.support.calls import refused
from tests.support.context import (
    Connection,
    Context,
    broken_invariants,
    call,
    items,
    refusal,
    shadow,
    value,
)
from tests.support.factories import set_price


def lines(db: Connection, order: str) -> list[tuple[str, int, int]]:
    """The lines of an order: SKU, quantity and price of a unit."""
    return db.execute(
        "select p.sku, i.quantity, i.unit_price::int from app.order_items as i"
        " join app.products as p on p.id = i.product_id where i.order_id = %s order by p.sku",
        [order],
    ).fetchall()


def test_update_replaces_lines_notes_and_totals(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1, SKU_001=2), notes="pagi")
    set_price(db, context, 80_000, discount=(10, 60_000))
    updated = call(db, who, "update_draft", order_id=draft["id"], items=items(SKU_000=10, SKU_002=1))
    assert lines(db, draft["id"]) == [("SKU-000", 10, 60_000), ("SKU-002", 1, 150_000)]
    assert (updated["id"], updated["order_number"]) == (draft["id"], draft["order_number"])
    assert (updated["subtotal"], updated["discount_amount"]) == (950_000, 200_000)
    assert (updated["grand_total"], updated["status"], updated["notes"]) == (750_000, "DRAFT", None)
    order = call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert order["grand_total"] == 750_000
    assert broken_invariants(db) == {}


def test_update_reserves_neither_stock_nor_credit(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    call(db, who, "update_draft", order_id=draft["id"], items=items(SKU_000=500))
    assert value(db, "select sum(reserved) from app.inventory") == 0
    assert value(db, "select credit_used from app.partners where id = %s", who.sub) == 0


def test_withdrawn_product_of_a_draft_is_named_and_can_be_removed(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1, SKU_001=1))
    db.execute("update app.products set is_active = false where sku = 'SKU-001'")
    for function, arguments in (
        ("submit_draft", {"idempotency_key": "k"}),
        ("update_draft", {"items": items(SKU_000=2, SKU_001=1)}),
    ):
        with refused(db, "UNKNOWN_SKU") as why:
            call(db, who, function, order_id=draft["id"], **arguments)
        assert why.details == "SKU-001"
        assert "update_draft" in (why.hint or "")
    call(db, who, "update_draft", order_id=draft["id"], items=items(SKU_000=2))
    assert call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")["status"] == "SUBMITTED"


def test_refused_update_leaves_the_draft_as_it_was(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1), notes="pagi")
    for wrong, code in (([], "INVALID_ITEMS"), (items(NIL=1), "UNKNOWN_SKU")):
        assert refusal(db, who, "update_draft", order_id=draft["id"], items=wrong, notes="x") == code
    assert lines(db, draft["id"]) == [("SKU-000", 1, 100_000)]
    assert value(db, "select notes from app.orders where id = %s", draft["id"]) == "pagi"


def test_submitted_order_cannot_be_edited(db: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    call(db, who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    with refused(db, "ORDER_FROZEN") as why:
        call(db, who, "update_draft", order_id=draft["id"], items=items(SKU_000=2))
    assert why.details == f"{draft['order_number']} is SUBMITTED"


def test_draft_of_another_partner_cannot_be_edited(db: Connection, context: Context) -> None:
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=1))
    code = refusal(db, context.partners[1], "update_draft", order_id=draft["id"], items=items(SKU_000=2))
    assert code == "NOT_FOUND"


def test_draft_names_the_agent_who_edited_it_last(db: Connection, context: Context) -> None:
    agent, who = context.agents[0], context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    acting = shadow(db, agent, who)
    by_agent = call(db, acting, "update_draft", order_id=draft["id"], items=items(SKU_000=2))
    assert (by_agent["agent_id"], by_agent["submission_type"]) == (agent.sub, "AGENT_ASSISTED")
    by_partner = call(db, who, "update_draft", order_id=draft["id"], items=items(SKU_000=3))
    assert (by_partner["agent_id"], by_partner["submission_type"]) == (None, "SELF")


@pytest.mark.regression("metasfresh#6985")
@pytest.mark.parametrize("key", ["uom", "unit", "UOM", "quantity_uom", "Quantity", ""])
@pytest.mark.parametrize("function", ["save_draft", "update_draft", "quote_order", "submit_order"])
def test_unknown_key_of_an_item_is_refused_and_named(
    db: Connection, context: Context, function: str, key: str
) -> None:
    """A dropped `uom` would turn two boxes into two pieces."""
    who = context.partners[0]
    arguments = {
        "update_draft": {"order_id": call(db, who, "save_draft", items=items(SKU_000=1))["id"]},
        "submit_order": {"idempotency_key": "k"},
    }.get(function, {})
    wanted = [*items(SKU_001=1), {"sku": "SKU-000", "quantity": 2, key: "BOX"}]
    with refused(db, "INVALID_ITEMS") as why:
        call(db, who, function, items=wanted, **arguments)
    assert why.details == f'line 2: unknown key "{key}"'


def test_lines_have_the_id_of_their_order_with_their_number(db: Connection, context: Context) -> None:
    """No random number a line; the id stays a UUIDv7 with the order's time, also after an edit."""
    who = context.partners[0]
    draft = call(db, who, "save_draft", items=items(SKU_000=1))
    call(db, who, "update_draft", order_id=draft["id"], items=items(SKU_000=1, SKU_001=2, SKU_002=3))
    ids = db.execute(
        "select i.id::text from app.order_items as i where i.order_id = %s order by i.product_id",
        [draft["id"]],
    ).fetchall()
    assert ids == [(f"{draft['id'][:-4]}{number:04x}",) for number in (1, 2, 3)]
