"""Two callers, one of whom has not committed yet: who waits, who does not, and what the second then sees.

Each test is a race that is held still: the first operation is done and its transaction left open, the
second is let go, and only when it waits (or is done) does the first commit. `hub dev mutate` removes each lock in turn.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.concurrency import Operation, api_call
from tests.support.context import (
    Caller,
    Connection,
    Context,
    RefusedError,
    approve,
    broken_invariants,
    call,
    items,
    make_context,
    pay,
    submit,
    value,
)

_PATIENCE = 20


class Second:
    """A operation on a thread of its own."""

    def __init__(self, url: str, operation: Operation) -> None:
        self._conn = psycopg.connect(url, autocommit=True)
        self._pid = self._conn.info.backend_pid
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._act, args=(operation,), daemon=True)

    def _act(self, operation: Operation) -> None:
        try:
            self._outcome = operation(self._conn)
        except BaseException as failure:
            self._outcome = failure

    def start(self, watcher: Connection) -> bool:
        """Let go; returns True once it waits for somebody, False when it is done without having waited."""
        self._thread.start()
        until = time.monotonic() + _PATIENCE
        while self._thread.is_alive() and time.monotonic() < until:
            blockers = watcher.execute("select pg_blocking_pids(%s)", [self._pid]).fetchall()[0][0]
            if blockers:
                return True
            time.sleep(0.01)
        return False

    def outcome(self) -> Any:
        """What came of it; a refusal is its code."""
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "still waits though the first has committed"
        self._conn.close()
        if isinstance(self._outcome, RefusedError):
            return self._outcome.code
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


@contextmanager
def _open(url: str) -> Iterator[Connection]:
    """A connection in a transaction that the test ends."""
    with psycopg.connect(url) as conn:
        conn.execute("select 1")
        yield conn


def after(url: str, first: Operation, second: Operation) -> Any:
    """The second operation's outcome, let go while the first is done but not committed."""
    with _open(url) as opening, psycopg.connect(url, autocommit=True) as watcher:
        first(opening)
        other = Second(url, second)
        other.start(watcher)
        opening.commit()
        return other.outcome()


def beside(url: str, first: Operation, second: Operation) -> Any:
    """The same, where the second must not wait for the first."""
    with _open(url) as opening, psycopg.connect(url, autocommit=True) as watcher:
        first(opening)
        other = Second(url, second)
        waited = other.start(watcher)
        opening.commit()
        outcome = other.outcome()
    assert not waited, "it waited"
    return outcome


def sql(statement: str, *values: Any) -> Operation:
    """A operation of the owner: the first value that a statement returns."""

    def operation(conn: Connection) -> Any:
        done = conn.execute(statement, values or None)
        return done.fetchall()[0][0] if done.description else None

    return operation


@pytest.fixture
def context(conn: Connection) -> Context:
    return make_context(conn)


def locked(url: str, statement: str, *values: Any) -> bool:
    """Whether somebody else holds these rows."""
    with psycopg.connect(url) as conn:
        try:
            conn.execute(statement + " nowait", values or None)
        except psycopg.errors.LockNotAvailable:
            return True
        finally:
            conn.rollback()
    return False


# --- who waits for a partner holds nothing that the one before him may need ---


def _moves(context: Context, order: Any, invoice: Any, redemption: Any) -> dict[str, Operation]:
    admin = context.admin
    payment = [{"invoice_number": invoice["invoice_number"], "amount": 1000, "reference_number": "E-1"}]
    return {
        "cancel": api_call(admin, "reject_order", order_id=order["id"], reason="test"),
        "pay": api_call(
            admin, "record_payment", invoice_id=invoice["id"], amount=1000, reference_number="R-1"
        ),
        "erp": api_call(context.erp, "erp_apply_payments", payments=payment),
        "vest": sql("select app.vest_points(%s)", invoice["id"]),
        "redemption": api_call(
            admin, "advance_redemption", redemption_id=redemption["id"], status="CANCELLED"
        ),
    }


@pytest.mark.parametrize("move", ["cancel", "pay", "erp", "vest", "redemption"])
def test_who_waits_for_the_partner_holds_nothing_yet(
    url: str, conn: Connection, context: Context, move: str
) -> None:
    who = context.partners[0]
    call(conn, context.admin, "adjust_points", partner_id=who.sub, points=100, reason="start")
    redemption = call(conn, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="r")
    order = submit(conn, who, items(SKU_000=10))
    invoice = approve(conn, context, order)
    if move == "vest":
        pay(conn, context, invoice)
    operation = _moves(context, order, invoice, redemption)[move]
    with _open(url) as before:
        before.execute("select from app.partners where id = %s for no key update", [who.sub])
        second = Second(url, operation)
        assert second.start(conn), "it went on without its turn"
        for table in ("orders", "invoices", "redemptions", "redemption_catalog", "inventory", "point_queue"):
            assert not locked(url, f"select from app.{table} for update"), table
        before.rollback()
    second.outcome()
    conn.execute("select jobs.process_point_queue()")
    assert broken_invariants(conn) == {}


def test_payments_of_the_erp_take_all_partners_before_the_first_invoice(
    url: str, conn: Connection, context: Context
) -> None:
    people = sorted(context.partners, key=lambda p: str(p.sub))[:2]
    invoices = [approve(conn, context, submit(conn, p, items(SKU_000=2))) for p in people]
    payments = [
        {"invoice_number": i["invoice_number"], "amount": 1000, "reference_number": "E"} for i in invoices
    ]
    with _open(url) as before:
        before.execute("select from app.partners where id = %s for no key update", [people[1].sub])
        second = Second(url, api_call(context.erp, "erp_apply_payments", payments=payments))
        assert second.start(conn)
        assert not locked(url, "select from app.invoices where id = %s for update", invoices[0]["id"])
        before.rollback()
    assert [r["result"] for r in second.outcome()] == ["APPLIED", "APPLIED"]


@pytest.fixture
def reversed_goods(conn: Connection, context: Context) -> list[tuple[str, str]]:
    """Sixty products (id, SKU) by id, whose rows and SKUs stand in the opposite order."""
    ids = sorted(str(uuid.uuid4()) for _ in range(60))
    goods = list(zip(ids, [f"T-{99 - i}" for i in range(60)], strict=True))
    for product, sku in reversed(goods):
        conn.execute(
            "insert into app.products (id, sku, name, base_price) values (%s, %s, %s, 1000)",
            [product, sku, sku],
        )
        conn.execute("insert into app.inventory (product_id, erp_stock) values (%s, 100)", [product])
    return goods


@pytest.mark.parametrize("what", ["order", "stock", "release"])
def test_stock_is_locked_in_product_order(
    url: str, conn: Connection, context: Context, reversed_goods: list[tuple[str, str]], what: str
) -> None:
    # However the rows are found: without nested loops they come as they lie on the disk.
    database = psycopg.sql.Identifier(conn.info.dbname)
    for way in ("nestloop", "mergejoin"):
        conn.execute(psycopg.sql.SQL(f"alter database {{}} set enable_{way} = off").format(database))
    lines = [{"sku": sku, "quantity": 1} for _, sku in reversed(reversed_goods)]
    first, others = reversed_goods[0][0], [product for product, _ in reversed_goods[1:]]
    if what == "order":
        operation = api_call(context.partners[0], "submit_order", items=lines, idempotency_key="k")
    elif what == "stock":
        operation = api_call(context.erp, "erp_apply_stock", levels=lines)
    else:
        order = submit(conn, context.partners[0], lines)
        operation = api_call(context.partners[0], "cancel_order", order_id=order["id"])
    with _open(url) as before:
        before.execute("select from app.inventory where product_id = %s for no key update", [first])
        second = Second(url, operation)
        assert second.start(conn), "it went on without its turn"
        statement = "select from app.inventory where product_id = any (%s) for update"
        assert not locked(url, statement, others)
        before.rollback()
    second.outcome()


def test_reports_of_one_batch_lock_messages_in_the_order_of_their_ids(
    url: str, conn: Connection, context: Context
) -> None:
    conn.execute(
        psycopg.sql.SQL("alter database {} set enable_nestloop = off").format(
            psycopg.sql.Identifier(conn.info.dbname)
        )
    )
    messages = sorted(_message(conn, context, status="'CLAIMED'") for _ in range(100))
    # The first by its id becomes the last on the disk, and the last to be told.
    conn.execute("update app.messages set attempts = 1 where id = %s", [messages[0]])
    sent = [{"message_id": m, "provider_id": m} for m in reversed(messages)]
    with _open(url) as before:
        before.execute("select from app.messages where id = %s for no key update", [messages[0]])
        second = Second(url, sql("select app.messages_sent(%s)", Jsonb(sent)))
        assert second.start(conn), "it went on without its turn"
        assert not locked(url, "select from app.messages where id = any (%s) for update", messages[1:])
        before.rollback()
    assert second.outcome() == {"unknown_ids": []}


# --- a function that promises a lock holds it ---


@pytest.mark.parametrize(
    ("function", "rows", "mode"),
    [
        ("app.lock_order", "app.orders where id", "for no key update"),
        ("app.lock_order", "app.partners where id", "for no key update"),
        ("app.lock_invoice", "app.invoices where id", "for no key update"),
        ("app.lock_invoice", "app.partners where id", "for no key update"),
        ("app.vest_points", "app.invoices where id", "for no key update"),
        ("app.vest_points", "app.partners where id", "for no key update"),
    ],
)
def test_what_a_function_promises_to_lock_is_locked(
    url: str, conn: Connection, context: Context, function: str, rows: str, mode: str
) -> None:
    who = context.partners[0]
    order = submit(conn, who, items(SKU_000=1))  # too small for points: vesting writes nothing
    invoice = approve(conn, context, order)
    pay(conn, context, invoice)
    argument = order["id"] if function == "app.lock_order" else invoice["id"]
    row = {"orders": order["id"], "partners": who.sub, "invoices": invoice["id"]}[
        rows.split(maxsplit=1)[0][4:]
    ]
    with _open(url) as holder:
        holder.execute(f"select {function}(%s)", [argument])
        assert locked(url, f"select from {rows} = %s {mode}", row)


# --- the second sees what the first left ---


def test_an_escalation_is_acknowledged_by_one(url: str, conn: Connection, context: Context) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    conn.execute("select app.escalate_now(%s, 'test')", [order["id"]])
    log = value(conn, "select id from app.sla_escalation_logs limit 1")
    first, second = (
        api_call(admin, "acknowledge_escalation", escalation_id=log)
        for admin in (context.admin, context.admin2)
    )
    assert after(url, first, second) == "ALREADY_ACKNOWLEDGED"


def test_two_corrections_do_not_take_the_same_points(url: str, conn: Connection, context: Context) -> None:
    who = context.partners[0].sub
    call(conn, context.admin, "adjust_points", partner_id=who, points=50, reason="start")
    take = api_call(context.admin, "adjust_points", partner_id=who, points=-50, reason="back")
    assert after(url, take, take) == "POINTS_INSUFFICIENT"
    assert value(conn, "select point_balance from app.partners where id = %s", who) == 0


def test_the_last_reward_goes_to_the_first(url: str, conn: Connection, context: Context) -> None:
    for who in context.partners[:2]:
        call(conn, context.admin, "adjust_points", partner_id=who.sub, points=400, reason="start")
    first, second = (
        api_call(who, "redeem_reward", reward_id=context.rewards[1], idempotency_key="k")
        for who in context.partners[:2]
    )
    assert after(url, first, second) == "REWARD_UNAVAILABLE"


def test_the_same_key_again_is_the_same_order(url: str, conn: Connection, context: Context) -> None:
    order = api_call(context.partners[0], "submit_order", items=items(SKU_000=1), idempotency_key="the same")
    assert after(url, order, order)["status"] == "SUBMITTED"
    assert value(conn, "select count(*) from app.orders") == 1


def test_a_draft_read_before_its_turn_is_not_ordered_twice(
    url: str, conn: Connection, context: Context
) -> None:
    """The cart was read outside the lock, so it became two orders: shopware/shopware#19943."""
    draft = call(conn, context.partners[0], "save_draft", items=items(SKU_000=2))
    first, second = (
        api_call(context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key=key)
        for key in "ab"
    )
    assert after(url, first, second) == "ILLEGAL_TRANSITION"
    assert value(conn, "select sum(reserved) from app.inventory") == 2
    assert broken_invariants(conn) == {}


def test_units_that_were_checked_for_one_are_not_given_to_another(
    url: str, conn: Connection, context: Context
) -> None:
    """Check and allocation in two transactions: vendurehq/vendure PR 4930, saleor/saleor#543."""
    first, second = (
        api_call(who, "submit_order", items=items(SKU_000=600), idempotency_key="k")
        for who in context.partners[:2]
    )
    assert after(url, first, second) == "OUT_OF_STOCK"
    assert broken_invariants(conn) == {}


def test_an_order_written_by_hand_meets_the_credit_that_another_used(
    url: str, conn: Connection, context: Context
) -> None:
    who = context.partners[0].sub
    conn.execute("update app.partners set credit_limit = 1000 where id = %s", [who])
    by_hand = sql(
        "insert into app.orders (partner_id, status, subtotal, grand_total)"
        " values (%s, 'SUBMITTED', 600, 600) returning is_over_limit",
        who,
    )
    assert after(url, by_hand, by_hand) is True


def test_two_messengers_do_not_hold_two_messages_of_one_recipient(
    url: str, conn: Connection, context: Context
) -> None:
    for text in ("one", "two"):
        conn.execute(
            "select app.enqueue_message('inbound_text', 'AGENT', %s, null, %s)",
            [context.admin.sub, Jsonb({"sender": "x", "text": text})],
        )
    claim = sql("select count(*) from app.claim_messages(1, 60)")
    assert after(url, claim, claim) == 0


def _message(conn: Connection, context: Context, **columns: Any) -> str:
    """A message in a state; returns its id."""
    names = ", ".join(columns)
    values = ", ".join(str(v) for v in columns.values())
    return str(
        value(
            conn,
            "insert into app.messages (template, recipient_type, recipient_id, variables"
            f"{', ' + names if names else ''}) values ('inbound_text', 'SUBDIST', %s,"
            f' \'{{"sender": "x", "text": "y"}}\'{", " + values if values else ""}) returning id',
            context.subdists[0].sub,
        )
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "'CLAIMED'", "lease_until": "now() - interval '1 s'"},
        {"status": "'UNKNOWN'", "unknown_since": "now() - interval '1 day'"},
        {"status": "'UNKNOWN'", "unknown_since": "now() - interval '1 day'", "attempts": "100"},
        {"expires_at": "now() - interval '1 s'"},
    ],
    ids=["lapsed", "unknown", "given up", "expired"],
)
def test_the_reaper_waits_for_nobody(
    url: str, conn: Connection, context: Context, columns: dict[str, str]
) -> None:
    message = _message(conn, context, **columns)
    hold = sql("select id from app.messages where id = %s for update", message)
    assert beside(url, hold, sql("select app.reap_messages()")) == 0
    assert value(conn, "select app.reap_messages()") >= 1


def test_a_claim_waits_for_nobody_who_holds_a_message(url: str, conn: Connection, context: Context) -> None:
    message = _message(conn, context)
    hold = sql("select id from app.messages where id = %s for update", message)
    assert beside(url, hold, sql("select count(*) from app.claim_messages(10, 60)")) == 0
    assert value(conn, "select count(*) from app.claim_messages(10, 60)") == 1


def test_a_message_that_failed_twice_at_once_goes_out_by_mail_once(
    url: str, conn: Connection, context: Context
) -> None:
    conn.execute("update app.sub_distributors set email = 'a@b.test'")
    message = _message(conn, context, status="'CLAIMED'", lease_until="now() + interval '1 h'")
    failed = sql("select app.message_failed(%s, 'E', false)", message)
    after(url, failed, failed)
    assert value(conn, "select count(*) from app.messages where channel = 'EMAIL'") == 1


def test_a_late_report_does_not_take_back_an_earlier_one(
    url: str, conn: Connection, context: Context
) -> None:
    message = _message(conn, context, status="'SENT'", provider_id="'wamid.1'")
    first, second = (
        sql("select app.message_status('wamid.1', %s, now())", status) for status in ("read", "delivered")
    )
    after(url, first, second)
    assert value(conn, "select status from app.messages where id = %s", message) == "READ"


def _unknown(conn: Connection, context: Context) -> str:
    return _message(conn, context, status="'UNKNOWN'", unknown_since="now()")


def _report(key: str, status: str, ours: str) -> Operation:
    return sql("select app.message_status(%s, %s, now(), %s, '131026')", key, status, ours)


def test_a_report_beside_the_first_one_is_not_taken_for_that_of_another_sending(
    url: str, conn: Connection, context: Context
) -> None:
    message = _unknown(conn, context)
    after(url, _report("wamid.1", "sent", message), _report("wamid.1", "delivered", message))
    assert value(conn, "select status from app.messages where id = %s", message) == "DELIVERED"


def test_a_failure_of_one_sending_does_not_undo_another_that_just_arrived(
    url: str, conn: Connection, context: Context
) -> None:
    message = _unknown(conn, context)
    after(url, _report("wamid.1", "sent", message), _report("wamid.2", "failed", message))
    assert value(conn, "select status from app.messages where id = %s", message) == "SENT"


def test_trouble_that_two_messengers_meet_is_told_once(url: str, conn: Connection, context: Context) -> None:
    claimed = {"status": "'CLAIMED'", "lease_until": "now() + interval '1 h'"}
    first, second = (
        sql("select app.message_failed(%s, '190', false)", _message(conn, context, **claimed)) for _ in "ab"
    )
    beside(url, first, second)
    told = (
        "select count(*), count(distinct recipient_id) from app.messages where template = 'messenger_trouble'"
    )
    assert conn.execute(told).fetchall() == [(2, 2)]


def test_an_order_that_has_just_died_is_not_escalated(url: str, conn: Connection, context: Context) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    cancel = api_call(context.partners[0], "cancel_order", order_id=order["id"])
    after(url, cancel, sql("select app.escalate_now(%s, 'too late')", order["id"]))
    assert value(conn, "select count(*) from app.sla_escalation_logs") == 0


def test_lines_of_a_draft_are_not_changed_while_it_is_submitted(
    url: str, conn: Connection, context: Context
) -> None:
    draft = call(conn, context.partners[0], "save_draft", items=items(SKU_000=2))
    submission = api_call(context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    with pytest.raises(psycopg.DatabaseError, match="ORDER_FROZEN"):
        after(url, submission, sql("delete from app.order_items where order_id = %s", draft["id"]))
    assert broken_invariants(conn) == {}


def test_a_draft_whose_lines_are_being_changed_is_priced_as_it_then_stands(
    url: str, conn: Connection, context: Context
) -> None:
    draft = call(conn, context.partners[0], "save_draft", items=items(SKU_000=2))
    change = sql(
        "update app.order_items set quantity = 5, line_total = 5 * unit_price where order_id = %s",
        draft["id"],
    )
    submission = api_call(context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert after(url, change, submission)["grand_total"] == 500_000
    assert broken_invariants(conn) == {}


def test_a_tap_on_a_button_that_was_just_answered_is_out_of_date(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    subdist = value(conn, "select routed_to_subdist_id::text from app.orders where id = %s", order["id"])
    number = value(conn, "select whatsapp_number from app.sub_distributors where id = %s", subdist)
    payload = value(
        conn,
        "select b ->> 'payload' from jsonb_array_elements(app.reply_buttons('{Tolak}', %s, %s)) as b",
        order["id"],
        subdist,
    )
    accept = api_call(Caller("subdist", subdist), "respond_order", order_id=order["id"], decision="ACCEPT")
    assert (
        after(url, accept, sql("select app.handle_button_reply(%s, %s)", payload, number))
        == "button out of date"
    )
    assert value(conn, "select status::text from app.orders where id = %s", order["id"]) == "PROCESSING"


def test_a_tap_is_not_lost_because_the_order_is_busy(url: str, conn: Connection, context: Context) -> None:
    """It is noted as failed, and the order escalated although he accepted."""
    order = submit(conn, context.partners[0], items(SKU_000=1))
    buttons, number = conn.execute("select buttons, recipient from app.claim_messages(10, 60)").fetchall()[0]
    payload = next(b["payload"] for b in buttons if b["title"] == "Terima")
    tap = {
        "id": "wamid.tap",
        "from": number.lstrip("+"),
        "type": "button",
        "button": {"payload": payload, "text": "Terima"},
    }
    conn.execute(
        "select app.inbound_message(%s)", [Jsonb({"entry": [{"changes": [{"value": {"messages": [tap]}}]}]})]
    )
    with _open(url) as busy:
        busy.execute("select from app.orders where id = %s for no key update", [order["id"]])
        conn.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("select app.process_inbox()")
        busy.rollback()
    assert value(conn, "select app.process_inbox()") == 1
    assert value(conn, "select status::text from app.orders where id = %s", order["id"]) == "PROCESSING"


@pytest.mark.parametrize("retry", [True, False])
def test_an_offer_that_fails_while_it_is_withdrawn_is_not_made_again(
    url: str, conn: Connection, context: Context, retry: bool
) -> None:
    conn.execute("update app.sub_distributors set email = 'a@b.test'")
    order = submit(conn, context.partners[0], items(SKU_000=1))
    [offer] = conn.execute("select id from app.claim_messages(10, 60)").fetchall()
    cancel = api_call(context.partners[0], "cancel_order", order_id=order["id"])
    failed = sql("select app.message_failed(%s, '131026', %s)", offer[0], retry)
    after(url, failed, cancel)
    offers = (
        "select count(*) from app.messages where template = 'order_routed'"
        " and (status = 'CLAIMED' or status = 'PENDING' and (expires_at > now()) is not false)"
    )
    assert value(conn, offers) == 0


def test_who_withdraws_an_offer_and_who_reports_it_failed_do_not_wait_for_each_other(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    [offer] = conn.execute("select id from app.claim_messages(10, 60)").fetchall()
    with _open(url) as holder:
        holder.execute("select from app.orders where id = %s for no key update", [order["id"]])
        for report in (
            "select app.message_failed(%s, '131026', false)",
            "select app.message_status('wamid.1', 'failed', now(), %s)",
        ):
            second = Second(url, sql(report, offer[0]))
            assert second.start(conn), "it went on without its turn"
            assert not locked(url, "select from app.messages where id = %s for update", offer[0])
            holder.rollback()
            second.outcome()
            conn.execute(
                "update app.messages set status = 'CLAIMED', provider_id = null where id = %s", [offer[0]]
            )
            holder.execute("select from app.orders where id = %s for no key update", [order["id"]])


def test_the_reaper_passes_by_an_offer_whose_order_is_busy(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    conn.execute(
        "update app.messages set status = 'UNKNOWN', unknown_since = now() - interval '1 day', attempts = 100"
    )
    hold = sql("select id from app.orders where id = %s for no key update", order["id"])
    assert beside(url, hold, sql("select app.reap_messages()")) == 0
    assert value(conn, "select app.reap_messages()") == 1


def test_hours_that_are_changed_at_once_still_rise(url: str, conn: Connection) -> None:
    first = sql("select app.set_config_value('sla.manager_hours', '18')")
    second = sql("select app.set_config_value('sla.reminder_hours', '20')")
    with pytest.raises(psycopg.DatabaseError, match="INVALID_CONFIG_VALUE"):
        after(url, first, second)


def test_points_and_payments_take_the_partners_in_one_order(
    url: str, conn: Connection, context: Context
) -> None:
    """The queue by its age, a set of payments by the partners' ids: each then had whom the other wanted."""
    low, high = sorted(context.partners[:2], key=lambda p: str(p.sub))
    for who in (high, low):
        pay(conn, context, approve(conn, context, submit(conn, who, items(SKU_000=10))))
    with _open(url) as before:
        before.execute("select from app.partners where id = %s for no key update", [low.sub])
        second = Second(url, sql("select jobs.process_point_queue()"))
        assert second.start(conn), "it went on without its turn"
        assert not locked(url, "select from app.partners where id = %s for no key update", high.sub)
        before.rollback()
    assert second.outcome() == 2


def test_an_answer_and_a_rerouting_take_turns(url: str, conn: Connection, context: Context) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    subdist = value(conn, "select routed_to_subdist_id::text from app.orders where id = %s", order["id"])
    other = next(s.sub for s in context.subdists if s.sub != subdist)
    reroute = api_call(context.admin, "reroute_order", order_id=order["id"], subdist_id=other)
    accept = api_call(Caller("subdist", subdist), "respond_order", order_id=order["id"], decision="ACCEPT")
    assert after(url, reroute, accept) == "NOT_FOUND"


def test_two_edits_cannot_close_a_cycle_of_regions(url: str, conn: Connection, context: Context) -> None:
    under = "update app.regions set parent_region_id = %s where id = %s"
    one, two = context.regions["id"], context.regions["papua"]
    with pytest.raises(psycopg.DatabaseError, match="INVALID_REGION"):
        after(url, sql(under, one, two), sql(under, two, one))


@pytest.mark.parametrize("first", ["erp_apply_products", "erp_apply_stock"])
def test_a_level_and_its_product_that_come_at_once_meet(
    url: str, conn: Connection, context: Context, first: str
) -> None:
    """Neither sees what the other has not committed: unless they take turns, the level waits for ever."""
    told = {
        "erp_apply_products": {"products": [{"sku": "NEW", "name": "Sampo", "base_price": 1000}]},
        "erp_apply_stock": {"levels": [{"sku": "NEW", "quantity": 9}]},
    }
    [second] = set(told) - {first}
    after(url, api_call(context.erp, first, **told[first]), api_call(context.erp, second, **told[second]))
    query = "select s.erp_stock from app.inventory s join app.products p on p.id = s.product_id"
    assert value(conn, f"{query} where p.sku = 'NEW'") == 9
    assert value(conn, "select count(*) from app.erp_quarantine") == 0


def test_two_makers_of_partitions_do_not_trip_over_each_other(url: str, conn: Connection) -> None:
    make = sql("select app.make_audit_partitions(7)")
    assert after(url, make, make) == 0


# --- what shares the work does not wait ---


def test_two_flushes_share_the_trail(url: str, conn: Connection, context: Context) -> None:
    flush = sql("select app.flush_audit_buffer()")
    assert beside(url, flush, flush) == 0
    assert broken_invariants(conn) == {}


def test_two_sweeps_share_the_late_orders(url: str, conn: Connection, context: Context) -> None:
    submit(conn, context.partners[0], items(SKU_000=1))
    conn.execute("update app.orders set routed_at = now() - interval '2 days'")
    sweep = sql("select app.sweep_service_level()")
    assert beside(url, sweep, sweep) == 0
    assert (
        value(conn, "select count(*) from app.sla_escalation_logs where escalation_level = 'REMINDER'") == 1
    )


def test_two_runs_of_the_point_queue_share_it(url: str, conn: Connection, context: Context) -> None:
    pay(conn, context, approve(conn, context, submit(conn, context.partners[0], items(SKU_000=10))))
    vest = sql("select jobs.process_point_queue()")
    with _open(url) as first, psycopg.connect(url, autocommit=True) as watcher:
        first.execute("select from app.point_queue for update")
        second = Second(url, vest)
        assert not second.start(watcher), "it waited"
        first.rollback()
    assert second.outcome() == 0
    assert value(conn, "select jobs.process_point_queue()") == 1


def test_two_readers_of_the_inbox_share_it(url: str, conn: Connection) -> None:
    conn.execute("""select app.inbound_message('{"entry": []}')""")
    work = sql("select app.process_inbox()")
    assert beside(url, work, work) == 0


def test_statistics_are_refreshed_by_one_at_a_time(url: str, conn: Connection) -> None:
    refresh: Operation = sql("select jobs.refresh_statistics()")
    with _open(url) as first, psycopg.connect(url, autocommit=True) as watcher:
        first.execute("select jobs.refresh_statistics()")
        second = Second(url, refresh)
        assert not second.start(watcher), "it waited"
        first.commit()
    assert second.outcome() == 0


# --- signing in ---


def _signed_in(conn: Connection, who: Caller) -> Any:
    return value(conn, "select auth.open_session(%s, %s)", who.sub, who.role)


def test_a_refresh_token_is_good_for_one_of_two_thieves(url: str, conn: Connection, context: Context) -> None:
    token = _signed_in(conn, context.partners[0])["refresh_token"]
    refresh = sql("select auth.refresh_session(%s)", token)
    assert after(url, refresh, refresh)["code"] == "REFRESH_TOKEN_REUSED"


def test_a_session_that_is_just_being_closed_gives_no_new_tokens(
    url: str, conn: Connection, context: Context
) -> None:
    tokens = _signed_in(conn, context.partners[0])
    session = value(conn, "select id::text from auth.sessions")
    close = sql("select auth.revoke_session(%s, 'logout')", session)
    answer = after(url, close, sql("select auth.refresh_session(%s)", tokens["refresh_token"]))
    assert answer["code"] == "INVALID_REFRESH_TOKEN"


def test_a_link_is_good_for_one_of_two(url: str, conn: Connection, context: Context) -> None:
    number = value(conn, "select whatsapp_number from app.sub_distributors limit 1")
    conn.execute("select auth.request_link(%s)", [number])
    token = value(conn, "select variables ->> 'token' from app.messages where template = 'sign_in_link'")
    redeem = sql("select auth.redeem_link(%s)", token)
    assert after(url, redeem, redeem)["code"] == "INVALID_LINK"


@pytest.mark.parametrize("role", ["partner", "agent"])
def test_of_two_new_passwords_the_first_stands(
    url: str, conn: Connection, context: Context, role: str
) -> None:
    who = context.partners[0] if role == "partner" else context.agents[0]
    table = "partners" if role == "partner" else "agents"
    conn.execute(
        f"update app.{table} set password_hash = auth.hash_password('the old password') where id = %s",
        [who.sub],
    )
    first, second = (
        api_call(who, "change_password", current_password="the old password", new_password=new)
        for new in ("a first new one", "a second new one")
    )
    assert after(url, first, second)["code"] == "INVALID_CREDENTIALS"


# --- and what no lock can see is mended ---


def test_an_order_routed_while_its_sub_distributor_is_suspended_is_handed_over_by_the_sweep(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    serving = value(conn, "select routed_to_subdist_id::text from app.orders where id = %s", order["id"])
    other = next(s.sub for s in context.subdists if s.sub != serving)
    reroute = api_call(context.admin, "reroute_order", order_id=order["id"], subdist_id=other)
    suspend = sql("update app.sub_distributors set status = 'SUSPENDED' where id = %s", other)
    after(url, reroute, suspend)
    assert value(conn, "select jobs.sweep_service_level()") == 1
    routed = value(conn, "select routed_to_subdist_id::text from app.orders where id = %s", order["id"])
    assert routed != other
    assert value(conn, "select jobs.sweep_service_level()") == 0
    assert broken_invariants(conn) == {}
