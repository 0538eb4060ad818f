"""The queue of headquarters: one row for each thing that awaits them, oldest first."""

from typing import Any

import psycopg
import pytest

from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    approve,
    call,
    grant_points,
    items,
    pay,
    routed_subdist,
    submit,
    value,
)
from tests.support.factories import make_agent
from tests.support.messaging import message_text
from tests.support.service_level import start_clock, sweep

Row = dict[str, Any]


def queue(db: Connection, context: Context) -> list[Row]:
    """The queue as an admin reads it."""
    with caller(db, context.admin.role, context.admin.sub):
        rows = db.execute("select to_jsonb(w) from api.work_queue as w").fetchall()
    return [row for (row,) in rows]


def kinds(db: Connection, context: Context) -> list[tuple[str, str]]:
    """Kind and id of each row, in the order of the queue."""
    return [(row["kind"], row["id"]) for row in queue(db, context)]


def shipped_order(db: Connection, context: Context) -> tuple[Row, Row]:
    """An order that was shipped, and its invoice."""
    order = submit(db, context.partners[0], items(SKU_000=1))
    invoice = approve(db, context, order)
    call(db, context.admin, "ship_order", order_id=order["id"])
    return order, invoice


def test_order_appears_while_it_awaits_headquarters(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    assert kinds(db, context) == []
    call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="ACCEPT")
    (row,) = queue(db, context)
    assert (row["kind"], row["id"], row["subject"]) == ("APPROVAL", order["id"], order["order_number"])
    assert (row["business_name"], row["subdist_name"][:3]) == ("Salon 0", "CV ")
    hours = "select extract(epoch from %s::timestamptz - %s::timestamptz) / 3600"
    assert value(db, hours, row["due_at"], row["waiting_since"]) == 4
    call(db, context.admin, "approve_order", order_id=order["id"])
    assert kinds(db, context) == []
    call(db, routed_subdist(db, order), "respond_order", order_id=order["id"], decision="DECLINE")
    assert kinds(db, context) == [("DELIVERY", order["id"])]
    call(db, context.admin, "ship_order", order_id=order["id"])
    assert kinds(db, context) == []


def test_unrouted_order_differs_from_one_over_the_limit(db: Connection, context: Context) -> None:
    db.execute("update app.partners set credit_limit = 1 where id = %s", [context.partners[0].sub])
    over = submit(db, context.partners[0], items(SKU_000=1))
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    unrouted = submit(db, context.partners[1], items(SKU_000=1))
    assert sorted(kinds(db, context)) == [("OVER_LIMIT", over["id"]), ("UNROUTED", unrouted["id"])]
    assert {row["kind"]: row["details"] for row in queue(db, context)}["OVER_LIMIT"] == "CREDIT_LIMIT"
    call(db, context.admin, "release_order", order_id=over["id"], reason="langganan")
    assert {kind for kind, _ in kinds(db, context)} == {"UNROUTED"}


def test_shipped_order_without_its_invoice_is_unbilled(db: Connection, context: Context) -> None:
    order, invoice = shipped_order(db, context)
    assert kinds(db, context) == []
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    (row,) = queue(db, context)
    assert (row["kind"], row["id"], row["amount"]) == ("UNBILLED", order["id"], invoice["amount"])


def test_unbilled_order_leaves_the_queue_when_it_is_billed_in_full(db: Connection, context: Context) -> None:
    order, invoice = shipped_order(db, context)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    for key, amount, left in (("a", 40_000, [("UNBILLED", order["id"])]), ("b", 60_000, [])):
        request = {"order_id": order["id"], "amount": amount, "reason": "dua bagian", "idempotency_key": key}
        call(db, context.admin, "issue_invoice", **request)
        assert kinds(db, context) == left


def test_cancelled_invoice_that_was_paid_is_to_be_refunded(db: Connection, context: Context) -> None:
    _, invoice = shipped_order(db, context)
    pay(db, context, invoice, 30_000)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    refunds = [row for row in queue(db, context) if row["kind"] == "REFUND"]
    assert [(row["id"], row["amount"], row["details"]) for row in refunds] == [
        (invoice["id"], 30_000, "salah")
    ]
    request = {"invoice_id": invoice["id"], "amount": 30_000, "reference_number": "R1", "reason": "kembali"}
    call(db, context.admin, "record_refund", **request, idempotency_key="k")
    assert {kind for kind, _ in kinds(db, context)} == {"UNBILLED"}


def test_clock_of_a_refund_goes_on_until_everything_is_refunded(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=2))
    invoice = approve(db, context, order)
    call(db, context.admin, "ship_order", order_id=order["id"])
    pay(db, context, invoice)

    def give_back(quantity: int, key: str) -> None:
        back = {"order_id": order["id"], "items": items(SKU_000=quantity), "reason": "rusak"}
        call(db, context.admin, "return_items", **back, idempotency_key=key)

    def refund(amount: int, key: str) -> None:
        request = {"invoice_id": invoice["id"], "amount": amount, "reference_number": key, "reason": "x"}
        call(db, context.admin, "record_refund", **request, idempotency_key=key)

    def hours() -> list[float]:
        age = "select extract(epoch from now() - refund_due_since) / 3600 from app.invoices where id = %s"
        since = value(db, age, invoice["id"])
        return [] if since is None else [round(float(since), 2)]

    assert hours() == []
    give_back(1, "r1")
    assert hours() == [0]
    age_tasks(db, 5)
    refund(1, "f1")
    give_back(1, "r2")
    assert hours() == [5]
    [task] = queue(db, context)
    refund(int(task["amount"]), "f2")
    assert (hours(), kinds(db, context)) == ([], [])


def test_order_that_is_cancelled_is_not_unbilled(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    invoice = approve(db, context, order)
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    assert kinds(db, context) == [("UNBILLED", order["id"])]
    call(db, context.partners[0], "cancel_order", order_id=order["id"])
    assert kinds(db, context) == []
    assert value(db, "select count(*) from app.unbilled_orders") == 0


def waiting_task(db: Connection, context: Context, kind: str) -> str:
    """A task of this kind that awaits headquarters; returns its id."""
    if kind == "REDEMPTION":
        grant_points(db, context, context.partners[0], 100)
        taken = call(
            db, context.partners[0], "redeem_reward", reward_id=context.rewards[0], idempotency_key="k"
        )
        return str(taken["id"])
    order, invoice = shipped_order(db, context)
    if kind == "REFUND":
        pay(db, context, invoice)
        back = {"order_id": order["id"], "items": items(SKU_000=1), "reason": "rusak"}
        call(db, context.admin, "return_items", **back, idempotency_key="k")
        return str(invoice["id"])
    call(db, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
    return str(order["id"])


def age_tasks(db: Connection, hours: float) -> None:
    """Let every task of headquarters have been waiting for so many hours."""
    since = f"now() - {hours} * interval '1 hour'"
    db.execute("set local session_replication_role = replica")
    db.execute(f"update app.redemptions set created_at = {since}".encode())
    db.execute(f"update app.unbilled_orders set unbilled_since = {since}".encode())
    db.execute(f"update app.invoices set refund_due_since = {since} where refund_due > 0".encode())
    db.execute("set local session_replication_role = default")


def notified(db: Connection, template: str) -> list[str]:
    """The recipients of a template's messages."""
    rows = db.execute(
        "select recipient_id::text from app.messages where template = %s order by 1", [template]
    ).fetchall()
    return [recipient for (recipient,) in rows]


@pytest.mark.parametrize("kind", ["REDEMPTION", "UNBILLED", "REFUND"])
def test_task_that_waits_too_long_reaches_admins_and_then_superadmins(
    db: Connection, context: Context, kind: str
) -> None:
    boss = make_agent(db, None, role="SUPERADMIN")
    admins = sorted(str(admin.sub) for admin in (context.admin, context.admin2))
    task = waiting_task(db, context, kind)
    assert kinds(db, context) == [(kind, task)]
    age_tasks(db, 3.99)
    assert sweep(db) == 0
    age_tasks(db, 4)
    assert [sweep(db), sweep(db)] == [1, 0]
    assert (notified(db, "sla_task_reminder"), notified(db, "sla_task_escalation")) == (admins, [])
    db.execute("update app.task_escalations set clock_started_at = now() - interval '24 hours'")
    age_tasks(db, 24)
    assert [sweep(db), sweep(db)] == [1, 0]
    assert (notified(db, "sla_task_reminder"), notified(db, "sla_task_escalation")) == (admins, [boss.sub])
    text = message_text(db, "sla_task_escalation")
    subject = queue(db, context)[0]["subject"]
    assert " untuk Salon 0 masih menunggu kantor pusat sejak " in text
    assert f", yaitu {subject}. " in text


def test_task_without_anyone_to_remind_waits_for_them(db: Connection, context: Context) -> None:
    waiting_task(db, context, "REDEMPTION")
    age_tasks(db, 30)
    db.execute("update app.agents set is_active = false")
    assert sweep(db) == 0
    db.execute("update app.agents set is_active = true")
    assert [sweep(db), sweep(db)] == [2, 0]


def test_task_that_is_done_in_time_reminds_no_one(db: Connection, context: Context) -> None:
    task = waiting_task(db, context, "REDEMPTION")
    call(db, context.admin, "advance_redemption", redemption_id=task, status="SHIPPED")
    age_tasks(db, 30)
    assert sweep(db) == 0


def test_silent_sub_distributor_appears_until_the_escalation_is_acknowledged(
    db: Connection, context: Context
) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1))
    start_clock(db, order, 25)
    sweep(db)
    (row,) = queue(db, context)
    assert (row["kind"], row["order_id"]) == ("ESCALATION", order["id"])
    call(db, context.admin, "acknowledge_escalation", escalation_id=row["id"])
    assert kinds(db, context) == []


def test_redemption_appears_until_it_is_shipped(db: Connection, context: Context) -> None:
    grant_points(db, context, context.partners[0], 100)
    taken = call(db, context.partners[0], "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    (row,) = queue(db, context)
    assert (row["kind"], row["id"], row["subject"]) == ("REDEMPTION", taken["id"], "Gunting")
    assert row["details"] == str(taken["points_spent"])
    call(db, context.admin, "advance_redemption", redemption_id=taken["id"], status="SHIPPED")
    assert kinds(db, context) == []


def test_message_that_no_e_mail_replaced_appears(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=1))
    message = value(db, "select id::text from app.messages where template = 'order_routed'")
    db.execute("update app.messages set status = 'FAILED', error_code = '131026' where id = %s", [message])
    assert ("MESSAGE", message) in kinds(db, context)
    db.execute("update app.sub_distributors set email = 'sinar@hub.test'")
    assert kinds(db, context) == []


def test_quarantined_row_of_the_erp_appears(db: Connection, context: Context) -> None:
    call(db, context.erp, "erp_apply_stock", levels=[{"sku": "UNKNOWN", "quantity": 1}])
    (row,) = queue(db, context)
    assert (row["kind"], row["id"], row["subject"]) == ("QUARANTINE", None, "stock UNKNOWN")


def test_oldest_comes_first(db: Connection, context: Context) -> None:
    db.execute("update app.sub_distributors set status = 'SUSPENDED'")
    ids = [submit(db, context.partners[0], items(SKU_000=1))["id"] for _ in range(3)]
    for order, hours in zip(ids, (2, 9, 5), strict=True):
        db.execute(
            "update app.orders set awaiting_since = now() - make_interval(hours => %s) where id = %s",
            [hours, order],
        )
    assert [row["id"] for row in queue(db, context)] == [ids[1], ids[2], ids[0]]


@pytest.mark.parametrize("who", ["partner", "subdist", "agent"])
def test_only_headquarters_reads_the_queue(db: Connection, context: Context, who: str) -> None:
    callers = {"partner": context.partners, "subdist": context.subdists, "agent": context.agents}
    asking = callers[who][0]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), caller(db, asking.role, asking.sub):
        db.execute("select from api.work_queue")


def test_each_branch_reads_an_index_of_what_waits(db: Connection, context: Context) -> None:
    with caller(db, context.admin.role, context.admin.sub):
        db.execute("set local enable_seqscan = off")
        plan = "\n".join(row[0] for row in db.execute("explain select * from api.work_queue"))
    for index in (
        "orders_awaiting_idx",
        "invoices_refund_due_idx",
        "redemptions_pending_idx",
        "messages_failed_idx",
    ):
        assert index in plan
