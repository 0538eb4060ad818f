"""Reminders of invoices that are due soon or overdue."""

from collections import Counter
from typing import Any

import pytest

from tests.support.context import (
    Connection,
    Context,
    broken_invariants,
    call,
    items,
    pay,
    set_config,
    value,
)
from tests.support.factories import make_partner
from tests.support.invoices import Invoice, billed, make_overdue, overdue_invoice

PARTNER = {"invoice_overdue": 1}
WITH_AGENTS = {"invoice_overdue": 1, "invoice_overdue_agent": 2}


def remind(conn: Connection, limit: int = 500) -> int:
    """Send what is due; returns the number of invoices."""
    return int(value(conn, "select app.send_invoice_reminders(%s)", limit))


def reminders(conn: Connection, invoice: Invoice) -> dict[str, int]:
    """The number of reminders of an invoice that were enqueued, by template."""
    rows = conn.execute(
        "select template from app.messages where variables ->> 'invoice_number' = %s"
        " and template in ('invoice_due_soon', 'invoice_overdue', 'invoice_overdue_agent')",
        [invoice["invoice_number"]],
    )
    return dict(Counter(template for (template,) in rows))


@pytest.fixture
def invoice(db: Connection, context: Context) -> Invoice:
    return billed(db, context, context.partners[0])


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (-30, {}),
        (-4, {}),
        (-3, {"invoice_due_soon": 1}),
        (0, {"invoice_due_soon": 1}),
        (1, PARTNER),
        (6, PARTNER),
        (7, WITH_AGENTS),
        (14, WITH_AGENTS),
        (400, WITH_AGENTS),
    ],
)
def test_partner_is_reminded_and_agents_from_the_second_reminder_on(
    db: Connection, invoice: Invoice, days: int, expected: dict[str, int]
) -> None:
    make_overdue(db, invoice, days)
    assert remind(db) == (1 if expected else 0)
    assert reminders(db, invoice) == expected
    assert remind(db) == 0, "each once"
    assert reminders(db, invoice) == expected
    assert broken_invariants(db) == {}


def test_unpaid_invoice_is_reminded_once_on_each_day_of_the_config(db: Connection, invoice: Invoice) -> None:
    sent = []
    for day in range(-6, 31):
        make_overdue(db, invoice, day)
        if remind(db):
            sent.append(day)
        remind(db)
    assert sent == [-3, 1, 7, 14]
    expected = {"invoice_due_soon": 1, "invoice_overdue": 3, "invoice_overdue_agent": 4}
    assert reminders(db, invoice) == expected


@pytest.mark.parametrize(("asleep_until", "days"), [(0, -3), (3, 1), (13, 7), (14, 14), (90, 14)])
def test_after_downtime_only_the_latest_reminder_goes_out(
    db: Connection, invoice: Invoice, asleep_until: int, days: int
) -> None:
    make_overdue(db, invoice, asleep_until)
    remind(db)
    remind(db)
    assert (
        sum(n for template, n in reminders(db, invoice).items() if template != "invoice_overdue_agent") == 1
    )
    assert value(db, "select last_reminder_day from app.invoices") == days


def test_downtime_does_not_repeat_what_was_sent_before_it(db: Connection, invoice: Invoice) -> None:
    for day in (2, 20):
        make_overdue(db, invoice, day)
        remind(db)
    assert reminders(db, invoice) == {"invoice_overdue": 2, "invoice_overdue_agent": 2}


def test_invoice_that_another_run_has_reminded_is_left_alone(db: Connection, invoice: Invoice) -> None:
    """This run has chosen it before, and gets its lock afterwards."""
    make_overdue(db, invoice, 1)
    assert remind(db) == 1
    db.execute(
        "create or replace function app.invoices_to_remind(p_days int[], p_limit int)"
        " returns uuid[] language sql as 'select array(select i.id from app.invoices as i)'"
    )
    assert remind(db) == 0
    assert reminders(db, invoice) == PARTNER


def test_a_day_begins_at_midnight_in_jakarta(db: Connection, invoice: Invoice) -> None:
    midnight = "date_trunc('day', now() at time zone 'Asia/Jakarta') at time zone 'Asia/Jakarta'"
    due = f"update app.invoices set due_date = {midnight} %s where id = '{invoice['id']}'"
    db.execute((due % "").encode())
    assert value(db, "select app.days_overdue(due_date) from app.invoices") == 0
    db.execute((due % "- interval '1 second'").encode())
    assert value(db, "select app.days_overdue(due_date) from app.invoices") == 1
    remind(db)
    assert reminders(db, invoice) == PARTNER


def test_reminder_states_what_is_still_due(db: Connection, context: Context) -> None:
    invoice = overdue_invoice(db, context, context.partners[0], 7, units=3)
    pay(db, context, invoice, 50_000)
    remind(db)
    rows = db.execute(
        "select recipient_type::text, recipient_id::text,"
        " app.render_message(t.body, app.order_variables(m.order_id, false) || m.variables), m.order_id"
        " from app.messages m join app.message_templates() t using (template)"
        " where m.template like 'invoice_overdue%' order by m.template, m.recipient_id"
    ).fetchall()
    due = value(db, "select to_char(due_date at time zone 'Asia/Jakarta', 'DD-MM-YYYY') from app.invoices")
    number = invoice["invoice_number"]
    to_partner = (
        f"Tagihan {number} sebesar Rp250.000 lewat jatuh tempo 7 hari, sejak {due}."
        " Mohon segera dibayar. Abaikan pesan ini bila Anda sudah membayar."
    )
    to_agent = (
        f"Tagihan {number} dari Salon 0 sebesar Rp250.000 lewat jatuh tempo 7 hari, sejak {due}."
        " Mohon bantu menagih."
    )
    agents = sorted(str(a.sub) for a in context.agents)
    assert [row[:3] for row in rows] == [
        ("PARTNER", context.partners[0].sub, to_partner),
        *[("AGENT", agent, to_agent) for agent in agents],
    ]
    assert {str(row[3]) for row in rows} == {invoice["order_id"]}


def test_settled_and_cancelled_invoices_are_not_reminded(db: Connection, context: Context) -> None:
    who = context.partners[0]
    paid, cancelled = (overdue_invoice(db, context, who, 7) for _ in range(2))
    pay(db, context, paid)
    call(db, context.admin, "cancel_invoice", invoice_id=cancelled["id"], reason="salah")
    assert remind(db) == 0


def test_changed_days_apply_to_the_next_run(db: Connection, context: Context, invoice: Invoice) -> None:
    make_overdue(db, invoice, 20)
    remind(db)
    set_config(db, context, "invoice.reminder_days", [1, 7, 14, 20])
    assert (remind(db), remind(db)) == (1, 0)
    assert value(db, "select last_reminder_day from app.invoices") == 20
    set_config(db, context, "invoice.reminder_days", [2, 5])
    assert remind(db) == 0


@pytest.mark.parametrize(
    ("key", "given", "days"),
    [("invoice.due_soon_days", 0, -1), ("invoice.reminder_days", [], 30)],
)
def test_reminders_can_be_turned_off(
    db: Connection, context: Context, invoice: Invoice, key: str, given: Any, days: int
) -> None:
    set_config(db, context, key, given)
    set_config(db, context, "invoice.due_soon_days", 0)
    make_overdue(db, invoice, days)
    assert remind(db) == 0


def test_headquarters_replaces_the_agents_in_a_region_without_any(db: Connection, context: Context) -> None:
    who = make_partner(db, context.regions["papua"], credit_limit=1_000_000)
    order = call(db, who, "submit_order", items=[{"sku": "SKU-000", "quantity": 1}], idempotency_key="papua")
    call(db, context.admin, "approve_order", order_id=order["id"])
    found = db.execute("select id, invoice_number from app.invoices where order_id = %s", [order["id"]])
    invoice = dict(zip(("id", "invoice_number"), found.fetchall()[0], strict=True))
    make_overdue(db, invoice, 7)
    remind(db)
    sent = db.execute("select recipient_id::text from app.messages where template = 'invoice_overdue_agent'")
    assert {row[0] for row in sent} == {context.admin.sub, context.admin2.sub}


def test_notice_to_headquarters_is_held_while_no_admin_is_active(db: Connection, context: Context) -> None:
    invoice = billed(db, context, context.partners[0])
    db.execute("update app.agents set is_active = false")
    make_overdue(db, invoice, 7)
    remind(db)
    notices = (
        "select m.status::text, count(*) from app.messages as m"
        " where m.template = 'invoice_overdue_agent' group by 1 order by 1"
    )
    assert db.execute(notices).fetchall() == [("HELD", 1)]
    db.execute("update app.agents set is_active = true where role = 'ADMIN'")
    db.execute("select app.release_held_messages()")
    assert db.execute(notices).fetchall() == [("PENDING", 2), ("WITHDRAWN", 1)]


def test_held_notice_of_an_invoice_that_was_paid_is_withdrawn(db: Connection, context: Context) -> None:
    invoice = billed(db, context, context.partners[0])
    db.execute("update app.agents set is_active = false")
    make_overdue(db, invoice, 7)
    remind(db)
    db.execute("update app.agents set is_active = true where role = 'ADMIN'")
    pay(db, context, invoice)
    statuses = "select array_agg(status::text) from app.messages where template = 'invoice_overdue_agent'"
    assert value(db, statuses) == ["WITHDRAWN"]


def test_reminder_that_waits_expires_when_the_next_one_is_due(db: Connection, invoice: Invoice) -> None:
    after_due_day = (
        "select extract(day from expires_at at time zone 'Asia/Jakarta'"
        " - date_trunc('day', i.due_date at time zone 'Asia/Jakarta'))::int"
        " from app.messages m, app.invoices i where template in ('invoice_due_soon', 'invoice_overdue')"
        " order by m.position desc limit 1"
    )
    found = []
    for day in (-3, 1, 7, 14):
        make_overdue(db, invoice, day)
        remind(db)
        found.append(value(db, after_due_day))
    assert found == [1, 7, 14, None]


def test_settled_invoice_withdraws_reminders_that_were_not_sent(db: Connection, context: Context) -> None:
    who = context.partners[0]
    paid, part_paid, cancelled, returned, written_off = (
        overdue_invoice(db, context, who, 7) for _ in range(5)
    )
    remind(db)
    pay(db, context, paid)
    pay(db, context, part_paid, 1)
    call(db, context.admin, "cancel_invoice", invoice_id=cancelled["id"], reason="salah")
    call(db, context.admin, "ship_order", order_id=returned["order_id"])
    goods = {"items": items(SKU_000=1), "reason": "rusak", "idempotency_key": "R"}
    call(db, context.admin, "return_items", order_id=returned["order_id"], **goods)
    pay(db, context, written_off, 98_000)
    call(db, context.admin, "write_off", invoice_id=written_off["id"], reason="biaya bank")
    statuses = (
        "select array_agg(distinct status::text) from app.messages"
        " where template like 'invoice_overdue%%' and order_id = %s"
    )
    found = [value(db, statuses, i["order_id"]) for i in (paid, cancelled, returned, written_off)]
    assert found == [["WITHDRAWN"]] * 4
    assert value(db, statuses, part_paid["order_id"]) == ["PENDING"]


def test_deleted_partner_gets_no_reminder(db: Connection, context: Context, invoice: Invoice) -> None:
    make_overdue(db, invoice, 7)
    payment = pay(db, context, invoice)
    for move in ("ship_order", "complete_order"):
        call(db, context.admin, move, order_id=invoice["order_id"])
    call(db, context.admin, "delete_partner", partner_id=context.partners[0].sub, reason="toko tutup")
    call(db, context.admin, "reverse_payment", payment_id=payment["payment_id"], reason="ditolak bank")
    remind(db)
    assert reminders(db, invoice) == {}
    assert remind(db) == 0, "it does not come up again"


def test_batches_leave_nothing_behind(db: Connection, context: Context) -> None:
    for days in (1, 1, 7, 14, -3):
        overdue_invoice(db, context, context.partners[0], days)
    assert [remind(db, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_cost_depends_neither_on_closed_nor_on_open_invoices(db: Connection, invoice: Invoice) -> None:
    make_overdue(db, invoice, 1)
    db.execute("set local session_replication_role = replica")
    db.execute(
        "insert into app.invoices"
        " (order_id, partner_id, amount, amount_paid, status, due_date, paid_at, last_reminder_day)"
        " select i.order_id, i.partner_id, 1, case n % 3 when 0 then 1 else 0 end,"
        "   (case n % 3 when 0 then 'PAID' else 'UNPAID' end)::app.invoice_status_enum,"
        "   now() - (case n % 3 when 1 then -20 else 20 end) * interval '1 day',"
        "   case n % 3 when 0 then now() end, case n % 3 when 2 then 14 end"
        " from app.invoices i, generate_series(1, 6000) n"
    )
    db.execute("set local session_replication_role = origin")
    db.execute("analyze app.invoices")
    read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'invoices'"
    before = value(db, read)
    assert value(db, "select app.invoices_to_remind(app.reminder_days(), 500)::text[]") == [invoice["id"]]
    assert value(db, read) - before < 20


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-27T00:59:59Z", False),
        ("2026-11-27T01:00:00Z", True),
        ("2026-11-27T10:59:59Z", True),
        ("2026-11-27T11:00:00Z", False),
    ],
)
def test_reminders_go_out_between_8_and_18_in_jakarta(db: Connection, at: str, expected: bool) -> None:
    assert value(db, "select app.is_reminder_hour(%s::timestamptz)", at) is expected
