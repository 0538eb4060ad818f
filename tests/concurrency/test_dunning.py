"""The job that reminds of invoices, several times at once and beside payments."""

from tests.support.concurrency import api_call, assert_invariants, run_concurrently
from tests.support.context import Connection, make_context, value
from tests.support.invoices import overdue_invoice


def remind(conn: Connection) -> None:
    conn.execute("call jobs.remind_of_invoices(3)")


def test_concurrent_runs_remind_of_each_invoice_once(url: str, conn: Connection) -> None:
    context = make_context(conn)
    # Reminders wait for daytime in Jakarta; this test does not.
    conn.execute(
        "create or replace function app.is_reminder_hour(p_at timestamptz) returns boolean"
        " language sql stable as 'select true'"
    )
    invoices = [overdue_invoice(conn, context, context.partners[n % 3], 1) for n in range(12)]
    payments = [
        api_call(context.admin, "record_payment", invoice_id=i["id"], amount=100_000, reference_number="A")
        for i in invoices[:3]
    ]
    run_concurrently(url, [remind, remind, remind, *payments])
    remind(conn)
    twice = "select count(*) from (select from app.messages where template = 'invoice_overdue'"
    assert value(conn, twice + " group by order_id having count(*) > 1) m") == 0
    reminded = "select count(*) from app.messages where template = 'invoice_overdue'"
    assert 9 <= value(conn, reminded) <= 12
    left = (
        "select count(*) from app.invoices where status = 'UNPAID' and last_reminder_day is distinct from 1"
    )
    assert value(conn, left) == 0
    assert_invariants(conn)
