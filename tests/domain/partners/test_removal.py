"""A partner is deleted when nothing is owed and no order is open; then no message reaches them any more."""

from typing import Any

import pytest

from tests.support.calls import refused
from tests.support.client import caller
from tests.support.context import (
    Caller,
    Connection,
    Context,
    approve,
    as_owner,
    broken_invariants,
    call,
    items,
    pay,
    refusal,
    shadow,
    submit,
    value,
)
from tests.support.messaging import claim, enqueue, message_state
from tests.support.queries import audit_rows, vest_points


def delete(db: Connection, who: Caller, partner: Caller, reason: str = "Toko tutup") -> dict[str, Any]:
    removed: dict[str, Any] = call(db, who, "delete_partner", partner_id=partner.sub, reason=reason)
    return removed


def settled(db: Connection, context: Context) -> Caller:
    """A partner with a draft and with an order that was completed and paid."""
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=10))
    pay(db, context, approve(db, context, order))
    vest_points(db)
    for move in ("ship_order", "complete_order"):
        call(db, context.admin, move, order_id=order["id"])
    call(db, who, "save_draft", items=items(SKU_001=1), notes="nanti")
    return who


def test_settled_partner_is_hidden_and_their_ledger_stays(db: Connection, context: Context) -> None:
    who = settled(db, context)
    removed = delete(db, context.admin, who)
    assert (removed["partner_id"], removed["erased_at"], removed["duplicate"]) == (who.sub, None, False)
    with caller(db, "admin", context.admin.sub):
        assert value(db, "select count(*) from api.partners where id = %s", who.sub) == 0
        assert value(db, "select count(*) from api.invoices where partner_id = %s", who.sub) == 1
    assert value(db, "select point_balance from app.partners where id = %s", who.sub) > 0
    assert value(db, "select array_agg(status::text order by status) from app.orders") == [
        "COMPLETED",
        "CANCELLED",
    ]
    assert broken_invariants(db) == {}


def test_removal_names_admin_and_reason(db: Connection, context: Context) -> None:
    who = settled(db, context)
    delete(db, context.admin, who, "Toko tutup")
    row = "select kind, reason, agent_id::text from api.partner_removals where partner_id = %s"
    with caller(db, "admin", context.admin.sub):
        assert db.execute(row, [who.sub]).fetchone() == ("DELETED", "Toko tutup", context.admin.sub)
    (change,) = audit_rows(db, target_id=who.sub, action="UPDATE")
    assert (change["actor_id"], set(change["new_value"])) == (context.admin.sub, {"deleted_at"})


def test_repeated_deletion_changes_nothing(db: Connection, context: Context) -> None:
    who = settled(db, context)
    first = delete(db, context.admin, who)
    assert delete(db, context.admin2, who, "lagi") == first | {"duplicate": True}
    assert value(db, "select count(*) from app.partner_removals") == 1


@pytest.mark.parametrize("moves", [[], ["accept"], ["accept", "approve"], ["accept", "approve", "ship"]])
def test_partner_with_an_open_order_is_not_deleted(
    db: Connection, context: Context, moves: list[str]
) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=1))
    if "accept" in moves:
        subdist = Caller("subdist", str(value(db, "select routed_to_subdist_id from app.orders")))
        call(db, subdist, "respond_order", order_id=order["id"], decision="ACCEPT")
    if "approve" in moves:
        call(db, context.admin, "approve_order", order_id=order["id"])
        pay(db, context, {"id": value(db, "select id from app.invoices"), "amount": order["grand_total"]})
    if "ship" in moves:
        call(db, context.admin, "ship_order", order_id=order["id"])
    with refused(db, "PARTNER_NOT_SETTLED") as why:
        delete(db, context.admin, who)
    assert why.details
    assert why.details.startswith("1 open orders")
    assert value(db, "select count(*) from app.partner_removals") == 0


def test_partner_who_owes_money_is_not_deleted(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=10))
    invoice = approve(db, context, order)
    pay(db, context, invoice, 400_000)
    for move in ("ship_order", "complete_order"):
        call(db, context.admin, move, order_id=order["id"])
    with refused(db, "PARTNER_NOT_SETTLED") as why:
        delete(db, context.admin, who)
    assert why.details == "0 open orders, Rp600.000 owed or on order, Rp0 to refund"
    pay(db, context, invoice, 600_000)
    delete(db, context.admin, who)


@pytest.mark.parametrize(
    ("what_is_open", "details"),
    [
        ("order", "1 open orders, Rp100.000 owed or on order, Rp0 to refund"),
        ("invoice", "0 open orders, Rp1.000.000 owed or on order, Rp0 to refund"),
        ("refund", "0 open orders, Rp0 owed or on order, Rp1.000.000 to refund"),
    ],
)
def test_partner_is_not_deleted_by_sql_while_something_is_open(
    db: Connection, context: Context, what_is_open: str, details: str
) -> None:
    who = settled(db, context)
    if what_is_open == "order":
        submit(db, who, items(SKU_000=1))
    elif what_is_open == "invoice":
        payment = str(value(db, "select id from app.invoice_payments"))
        call(db, context.admin, "reverse_payment", payment_id=payment, reason="salah")
    else:
        order = str(value(db, "select id from app.orders where status = 'COMPLETED'"))
        call(db, context.admin, "return_items", order_id=order, items=items(SKU_000=10), reason="rusak",
             idempotency_key="k")  # fmt: skip
    with refused(db, "PARTNER_NOT_SETTLED") as why, as_owner(db):
        db.execute("update app.partners set deleted_at = now() where id = %s", [who.sub])
    assert why.details == details


def test_settled_partner_is_deleted_and_restored_by_sql(db: Connection, context: Context) -> None:
    who = settled(db, context)
    with as_owner(db):
        db.execute("update app.partners set deleted_at = now() where id = %s", [who.sub])
        db.execute("update app.partners set deleted_at = null where id = %s", [who.sub])
    submit(db, who, items(SKU_000=1))


def test_partner_who_is_owed_a_refund_is_not_deleted(db: Connection, context: Context) -> None:
    who = settled(db, context)
    order = str(value(db, "select id from app.orders where status = 'COMPLETED'"))
    back = [{"sku": "SKU-000", "quantity": 2}]
    call(db, context.admin, "return_items", order_id=order, items=back, reason="rusak", idempotency_key="k")
    with refused(db, "PARTNER_NOT_SETTLED") as why:
        delete(db, context.admin, who)
    assert why.details == "0 open orders, Rp0 owed or on order, Rp200.000 to refund"
    call(
        db,
        context.admin,
        "record_refund",
        invoice_id=str(value(db, "select id from app.invoices")),
        amount=200_000,
        reference_number="R-1",
        reason="retur",
        idempotency_key="k",
    )
    delete(db, context.admin, who)


def test_deletion_closes_every_session(db: Connection, context: Context) -> None:
    who = settled(db, context)
    session = str(
        value(
            db,
            "insert into auth.sessions (subject_id, role, expires_at)"
            " values (%s, 'partner', now() + interval '1 day') returning id",
            who.sub,
        )
    )
    acting = shadow(db, context.agents[0], who)
    delete(db, context.admin, who)
    assert value(db, "select revoked_at is not null from auth.sessions where id = %s", session)
    assert value(db, "select count(*) from app.agent_sessions where ended_at is null") == 0
    for caller_ in (who, acting, Caller("partner", who.sub, {"sid": session})):
        assert refusal(db, caller_, "save_draft", items=items(SKU_000=1)) == "ACCOUNT_INACTIVE"
    agent = context.agents[0]
    assert refusal(db, agent, "start_shadow_session", partner_id=who.sub) == "NOT_FOUND"


def test_pending_messages_are_withdrawn_and_claimed_ones_not_sent_again(
    db: Connection, context: Context
) -> None:
    who = settled(db, context)
    db.execute("update app.messages set status = 'SENT'")
    claimed = enqueue(db, who.sub)
    assert claim(db) == [claimed]
    pending = enqueue(db, who.sub)
    other = enqueue(db, context.partners[1].sub)
    delete(db, context.admin, who)
    assert message_state(db, pending).status == "WITHDRAWN"
    call(db, Caller("messenger", who.sub), "message_failed", message_id=claimed, error_code="x", retry=True)
    db.execute("update app.messages set next_attempt_at = now()")
    assert claim(db) == [other]
    assert message_state(db, claimed).status == "WITHDRAWN"
    assert value(db, "select count(*) from app.messages where channel = 'EMAIL'") == 0


def test_message_that_is_enqueued_after_the_deletion_is_withdrawn_unsent(
    db: Connection, context: Context
) -> None:
    who = settled(db, context)
    db.execute("update app.messages set status = 'SENT'")
    delete(db, context.admin, who)
    late, other = enqueue(db, who.sub), enqueue(db, context.partners[1].sub)
    assert claim(db) == [other]
    assert message_state(db, late).status == "WITHDRAWN"
    address = "select app.recipient_address('PARTNER', %s, 'WHATSAPP')"
    assert value(db, address, who.sub) is None


@pytest.mark.parametrize("call_", ["delete_partner", "erase_partner"])
def test_unknown_partner_and_missing_reason_are_refused(db: Connection, context: Context, call_: str) -> None:
    who = Caller(
        "superadmin",
        str(
            value(
                db,
                "insert into app.agents (email, password_hash, full_name, role)"
                " values ('s@hub.test', 'x', 'Super', 'SUPERADMIN') returning id",
            )
        ),
    )
    assert refusal(db, who, call_, partner_id=who.sub, reason="x") == "NOT_FOUND"
    for reason in ("", " ", None, "x" * 501):
        code = refusal(db, who, call_, partner_id=context.partners[0].sub, reason=reason)
        assert code == "INVALID_ARGUMENT"
