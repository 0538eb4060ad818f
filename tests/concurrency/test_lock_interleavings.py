"""Two overlapping transactions: whether the second waits for the first, and what it sees afterwards.

Each test fixes one interleaving: the first operation runs and its transaction stays open, the second starts,
and the first commits only when the second waits for a lock or has finished. `hub dev mutate` removes each
lock in turn and runs these tests.
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

from tests.support.calls import write
from tests.support.concurrency import Operation, api_call
from tests.support.context import (
    Caller,
    Connection,
    Context,
    RefusedError,
    adjust_points,
    approve,
    as_owner,
    broken_invariants,
    call,
    items,
    make_context,
    other_subdist,
    pay,
    submit,
    value,
)
from tests.support.factories import insert, make_agent, make_partner
from tests.support.queries import run_job, vest_points

_TIMEOUT_SECONDS = 20


class BackgroundOperation:
    """An operation that runs on its own connection and thread."""

    def __init__(self, url: str, operation: Operation) -> None:
        self._conn = psycopg.connect(url, autocommit=True)
        self._pid = self._conn.info.backend_pid
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run, args=(operation,), daemon=True)

    def _run(self, operation: Operation) -> None:
        try:
            self._outcome = operation(self._conn)
        except BaseException as failure:
            self._outcome = failure

    def start(self, watcher: Connection) -> bool:
        """Start it; returns True once it waits for a lock, False when it has finished without waiting."""
        self._thread.start()
        return self.waits_for(watcher)

    def waits_for(self, watcher: Connection, holder: Connection | None = None) -> bool:
        """True once it waits for a lock, of the holder if one is given; False when it has finished."""
        until = time.monotonic() + _TIMEOUT_SECONDS
        while self._thread.is_alive() and time.monotonic() < until:
            blockers = watcher.execute("select pg_blocking_pids(%s)", [self._pid]).fetchall()[0][0]
            if blockers and (holder is None or holder.info.backend_pid in blockers):
                return True
            time.sleep(0.01)
        return False

    def outcome(self) -> Any:
        """The operation's result, or the code of its refusal. Raises any other error of the operation."""
        self._thread.join(_TIMEOUT_SECONDS)
        assert not self._thread.is_alive(), "the operation still waits although the first has committed"
        self._conn.close()
        if isinstance(self._outcome, RefusedError):
            return self._outcome.code
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


@contextmanager
def open_transaction(url: str) -> Iterator[Connection]:
    """A connection with an open transaction; the test commits it or rolls it back."""
    with psycopg.connect(url) as conn:
        conn.execute("select 1")
        yield conn


def run_overlapping(url: str, first: Operation, second: Operation) -> Any:
    """The outcome of the second operation, started while the first has run but not committed."""
    with open_transaction(url) as conn, psycopg.connect(url, autocommit=True) as watcher:
        first(conn)
        background = BackgroundOperation(url, second)
        background.start(watcher)
        conn.commit()
        return background.outcome()


def run_without_waiting(url: str, first: Operation, second: Operation) -> Any:
    """As `run_overlapping`; fails if the second operation waits for the first."""
    with open_transaction(url) as conn, psycopg.connect(url, autocommit=True) as watcher:
        first(conn)
        background = BackgroundOperation(url, second)
        waited = background.start(watcher)
        conn.commit()
        outcome = background.outcome()
    assert not waited, "the second operation waited for the first"
    return outcome


def sql_operation(statement: str, *values: Any) -> Operation:
    """The operation that runs a statement as the owner and returns its first value."""

    def operation(conn: Connection) -> Any:
        with as_owner(conn):
            cursor = conn.execute(statement, values or None)
            return cursor.fetchall()[0][0] if cursor.description else None

    return operation


@pytest.fixture
def context(conn: Connection) -> Context:
    return make_context(conn)


def is_locked(url: str, statement: str, *values: Any) -> bool:
    """Whether another transaction holds a lock on these rows."""
    with psycopg.connect(url) as conn:
        try:
            conn.execute(statement + " nowait", values or None)
        except psycopg.errors.LockNotAvailable:
            return True
        finally:
            conn.rollback()
    return False


# --- Every transaction takes its locks in the same order (D-3.orders-9) ---


def _transitions(context: Context, order: Any, invoice: Any, redemption: Any) -> dict[str, Operation]:
    admin = context.admin
    payment = [{"invoice_number": invoice["invoice_number"], "amount": 1000, "reference_number": "E-1"}]
    return {
        "cancel": api_call(admin, "reject_order", order_id=order["id"], reason="test"),
        "pay": api_call(
            admin, "record_payment", invoice_id=invoice["id"], amount=1000, reference_number="R-1"
        ),
        "erp": api_call(context.erp, "erp_apply_payments", payments=payment),
        "vest": sql_operation("select app.vest_points(%s)", invoice["id"]),
        "issue": api_call(
            admin, "issue_invoice", order_id=order["id"], amount=1000, reason="x", idempotency_key="k"
        ),
        "reverse": sql_operation("select app.reverse_payment(y.id, 'x') from app.invoice_payments as y"),
        "refund": api_call(
            admin, "record_refund", invoice_id=invoice["id"], amount=1000, reason="x", idempotency_key="k"
        ),
        "write off": api_call(admin, "write_off", invoice_id=invoice["id"], reason="x"),
        "return": api_call(
            admin,
            "return_items",
            order_id=order["id"],
            items=items(SKU_000=1),
            reason="x",
            idempotency_key="k",
        ),
        "redemption": api_call(
            admin, "advance_redemption", redemption_id=redemption["id"], status="CANCELLED"
        ),
    }


def run_while_the_partner_is_locked(url: str, conn: Connection, partner: Caller, operation: Operation) -> Any:
    """The outcome of an operation, which must wait for the partner's lock while it holds no other one."""
    with open_transaction(url) as holder:
        holder.execute("select from app.partners where id = %s for no key update", [partner.sub])
        second = BackgroundOperation(url, operation)
        assert second.start(conn), "the operation did not wait for the lock"
        for table in ("orders", "invoices", "redemptions", "redemption_catalog", "inventory", "point_queue"):
            assert not is_locked(url, f"select from app.{table} for update"), table
        holder.rollback()
    return second.outcome()


@pytest.mark.parametrize(
    "transition",
    ["cancel", "pay", "erp", "vest", "redemption", "issue", "reverse", "refund", "write off", "return"],
)
def test_transition_locks_the_partner_before_any_other_row(
    url: str, conn: Connection, context: Context, transition: str
) -> None:
    partner = context.partners[0]
    adjust_points(conn, context.admin, partner, 100, "start")
    redemption = call(conn, partner, "redeem_reward", reward_id=context.rewards[0], idempotency_key="r")
    order = submit(conn, partner, items(SKU_000=10))
    invoice = approve(conn, context, order)
    if transition in ("vest", "reverse", "refund"):
        pay(conn, context, invoice)
    elif transition == "write off":
        pay(conn, context, invoice, invoice["amount"] - 1000)
    elif transition == "return":
        call(conn, context.admin, "ship_order", order_id=order["id"])
    if transition in ("issue", "refund"):
        call(conn, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="x")
    operation = _transitions(context, order, invoice, redemption)[transition]
    run_while_the_partner_is_locked(url, conn, partner, operation)
    run_job(conn, "point-queue")
    assert broken_invariants(conn) == {}


def test_each_step_of_an_order_locks_the_partner_before_any_other_row(
    url: str, conn: Connection, context: Context
) -> None:
    who, admin = context.partners[0], context.admin

    def step(caller: Caller, function: str, **arguments: Any) -> Any:
        done = run_while_the_partner_is_locked(url, conn, who, api_call(caller, function, **arguments))
        assert not isinstance(done, str), f"{function}: {done}"
        return done

    order = {"order_id": submit(conn, who, items(SKU_000=10))["id"]}
    other = other_subdist(conn, context, {"id": order["order_id"]})
    step(admin, "reroute_order", **order, subdist_id=other.sub)
    call(conn, other, "respond_order", **order, decision="ACCEPT")
    step(admin, "approve_order", **order)
    step(context.erp, "erp_ack_order", **order, erp_reference="S1")
    step(admin, "ship_order", **order)
    step(admin, "complete_order", **order)
    invoice = value(conn, "select id::text from app.invoices")
    step(admin, "cancel_invoice", invoice_id=invoice, reason="salah")

    conn.execute("update app.partners set credit_limit = 0 where id = %s", [who.sub])
    late = {"order_id": submit(conn, who, items(SKU_000=1))["id"]}
    step(admin, "release_order", **late, reason="langganan")
    approve(conn, context, {"id": late["order_id"]})
    call(conn, context.erp, "erp_ack_order", **late, erp_reference="S2")
    call(conn, admin, "reject_order", **late, reason="salah")
    step(context.erp, "erp_ack_cancellation", **late, outcome="CANCELLED")
    assert broken_invariants(conn) == {}


def test_erp_payments_lock_all_partners_before_the_first_invoice(
    url: str, conn: Connection, context: Context
) -> None:
    home = context.regions["bandung"]
    partners = sorted(str(make_partner(conn, home, credit_limit=1_000_000).sub) for _ in range(8))
    invoices = [
        approve(conn, context, submit(conn, Caller("partner", p), items(SKU_000=1))) for p in partners
    ]
    for partner in reversed(partners):  # the lowest id becomes the last on disk
        conn.execute("update app.partners set tier = tier where id = %s", [partner])
    others = "select from app.partners where id = any (%s) for no key update"
    for held, free in (
        (partners[0], (others, partners[1:])),
        (partners[1], ("select from app.invoices where id = %s for update", invoices[0]["id"])),
    ):
        payments = [
            {"invoice_number": i["invoice_number"], "amount": 1000, "reference_number": held}
            for i in reversed(invoices)
        ]
        with open_transaction(url) as holder:
            holder.execute("select from app.partners where id = %s for no key update", [held])
            erp = BackgroundOperation(url, api_call(context.erp, "erp_apply_payments", payments=payments))
            assert erp.start(conn)
            assert not is_locked(url, *free)
            holder.rollback()
        assert [r["result"] for r in erp.outcome()] == ["APPLIED"] * 8


def test_erp_payment_of_an_invoice_issued_meanwhile_waits_for_another_payment_of_it(
    url: str, conn: Connection, context: Context
) -> None:
    """When the call locked the partners, the invoice did not exist yet."""
    first, second = sorted(context.partners[:2], key=lambda p: str(p.sub))
    known = approve(conn, context, submit(conn, first, items(SKU_000=1)))["invoice_number"]
    order = submit(conn, second, items(SKU_000=1))
    number = known[:-6] + f"{int(known[-6:]) + 1:06}"
    payment = {"amount": 1000, "reference_number": "E"}
    payments = [payment | {"invoice_number": n} for n in (known, number)]
    with open_transaction(url) as holder, open_transaction(url) as payer:
        holder.execute("select from app.partners where id = %s for no key update", [first.sub])
        erp = BackgroundOperation(url, api_call(context.erp, "erp_apply_payments", payments=payments))
        assert erp.start(conn)
        invoice = approve(conn, context, order)
        assert invoice["invoice_number"] == number
        call(payer, context.admin, "record_payment", invoice_id=invoice["id"], **payment)
        holder.rollback()
        assert erp.waits_for(conn, payer)
        payer.commit()
        assert [r["result"] for r in erp.outcome()] == ["APPLIED", "DUPLICATE"]


@pytest.mark.parametrize(
    ("change", "function"),
    [
        ("update api.partners set chair_count = 4 where id = %s", "erp_apply_payments"),
        ("update api.products set description = 'Lembut' where sku = %s", "erp_apply_products"),
    ],
)
def test_import_holds_no_row_while_it_waits_for_a_change_of_master_data(
    url: str, conn: Connection, context: Context, change: str, function: str
) -> None:
    """An import locks rows by key, headquarters in any order: an import that had locked the lower row
    would deadlock with the change of that row.
    """
    if function == "erp_apply_payments":
        low, high = sorted(str(p.sub) for p in context.partners[:2])
        numbers = [
            approve(conn, context, submit(conn, Caller("partner", p), items(SKU_000=1)))["invoice_number"]
            for p in (low, high)
        ]
        rows = [{"invoice_number": n, "amount": 1000, "reference_number": "E"} for n in numbers]
        operation = api_call(context.erp, function, payments=rows)
    else:
        low, high = context.skus[:2]
        products = [{"sku": sku, "name": "Sampo", "base_price": 1000} for sku in (low, high)]
        operation = api_call(context.erp, function, products=products)
    with open_transaction(url) as headquarters:
        write(headquarters, context.admin, change, high)
        background = BackgroundOperation(url, operation)
        assert background.start(conn), "the import did not wait for the change"
        headquarters.execute("set local lock_timeout = '5 s'")
        write(headquarters, context.admin, change, low)
        headquarters.commit()
        background.outcome()
    assert broken_invariants(conn) == {}


@pytest.fixture
def reversed_products(conn: Connection, context: Context) -> list[tuple[str, str]]:
    """Sixty products (id, SKU) in the order of their ids; their rows and SKUs have the opposite order."""
    ids = sorted(str(uuid.uuid4()) for _ in range(60))
    products = list(zip(ids, [f"T-{99 - i}" for i in range(60)], strict=True))
    for product, sku in reversed(products):
        conn.execute(
            "insert into app.products (id, sku, name, base_price) values (%s, %s, %s, 1000)",
            [product, sku, sku],
        )
        conn.execute("update app.inventory set erp_stock = 100 where product_id = %s", [product])
    return products


@pytest.mark.parametrize("transition", ["order", "stock", "release", "take over"])
def test_stock_is_locked_in_product_order(
    url: str, conn: Connection, context: Context, reversed_products: list[tuple[str, str]], transition: str
) -> None:
    # Without nested loops and merge joins, a plan returns the rows in their order on disk.
    database = psycopg.sql.Identifier(conn.info.dbname)
    for plan in ("nestloop", "mergejoin"):
        conn.execute(psycopg.sql.SQL(f"alter database {{}} set enable_{plan} = off").format(database))
    lines = [{"sku": sku, "quantity": 1} for _, sku in reversed(reversed_products)]
    first, others = reversed_products[0][0], [product for product, _ in reversed_products[1:]]
    if transition == "order":
        operation = api_call(context.partners[0], "submit_order", items=lines, idempotency_key="k")
    elif transition == "stock":
        operation = api_call(context.erp, "erp_apply_stock", levels=lines)
    elif transition == "take over":
        order = submit(conn, context.partners[0], lines)
        approve(conn, context, order)
        operation = api_call(context.erp, "erp_ack_order", order_id=order["id"], erp_reference="S1")
    else:
        order = submit(conn, context.partners[0], lines)
        operation = api_call(context.partners[0], "cancel_order", order_id=order["id"])
    with open_transaction(url) as holder:
        holder.execute("select from app.inventory where product_id = %s for no key update", [first])
        second = BackgroundOperation(url, operation)
        assert second.start(conn), "the operation did not wait for the lock"
        statement = "select from app.inventory where product_id = any (%s) for update"
        assert not is_locked(url, statement, others)
        holder.rollback()
    second.outcome()


def test_batch_of_sent_reports_locks_messages_in_id_order(
    url: str, conn: Connection, context: Context
) -> None:
    conn.execute(
        psycopg.sql.SQL("alter database {} set enable_nestloop = off").format(
            psycopg.sql.Identifier(conn.info.dbname)
        )
    )
    columns = {"status": "'CLAIMED'", "recipient_id": "gen_random_uuid()"}
    messages = sorted(_insert_message(conn, context, **columns) for _ in range(100))
    # The message with the lowest id becomes the last on disk and the last in the report.
    conn.execute("update app.messages set attempts = 1 where id = %s", [messages[0]])
    sent = [{"message_id": m, "provider_id": m} for m in reversed(messages)]
    with open_transaction(url) as holder:
        holder.execute("select from app.messages where id = %s for no key update", [messages[0]])
        second = BackgroundOperation(url, sql_operation("select app.messages_sent(%s)", Jsonb(sent)))
        assert second.start(conn), "the operation did not wait for the lock"
        assert not is_locked(url, "select from app.messages where id = any (%s) for update", messages[1:])
        holder.rollback()
    assert second.outcome() == {"unknown_ids": []}


def test_inbox_locks_messages_in_id_order(url: str, conn: Connection, context: Context) -> None:
    """A webhook reports them in any order, and would deadlock with a batch of reports."""
    columns = {"status": "'SENT'", "recipient_id": "gen_random_uuid()"}
    low, high = sorted(
        _insert_message(conn, context, **columns, provider_id=f"'wamid.{i}'") for i in range(2)
    )
    reports = conn.execute(
        "select json_agg(json_build_object('id', provider_id, 'status', 'delivered', 'timestamp', '1')"
        " order by id desc) from app.messages"
    ).fetchall()[0][0]
    webhook = {"entry": [{"changes": [{"value": {"statuses": reports}}]}]}
    conn.execute("select app.inbound_message(%s)", [Jsonb(webhook)])
    with open_transaction(url) as holder:
        holder.execute("select from app.messages where id = %s for no key update", [low])
        inbox = BackgroundOperation(url, sql_operation("select api.process_inbox()"))
        assert inbox.start(conn), "the inbox did not wait for the lock"
        assert not is_locked(url, "select from app.messages where id = %s for update", high)
        holder.rollback()
    assert inbox.outcome() == 1
    assert value(conn, "select count(*) from app.messages where status = 'DELIVERED'") == 2


# --- A function holds the locks that its callers rely on ---


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
def test_function_holds_the_row_locks_that_callers_rely_on(
    url: str, conn: Connection, context: Context, function: str, rows: str, mode: str
) -> None:
    partner = context.partners[0]
    # the order is too small to earn points, so that vesting writes nothing
    order = submit(conn, partner, items(SKU_000=1))
    invoice = approve(conn, context, order)
    pay(conn, context, invoice)
    argument = order["id"] if function == "app.lock_order" else invoice["id"]
    row = {"orders": order["id"], "partners": partner.sub, "invoices": invoice["id"]}[
        rows.split(maxsplit=1)[0][4:]
    ]
    with open_transaction(url) as holder:
        holder.execute(f"select {function}(%s)", [argument])
        assert is_locked(url, f"select from {rows} = %s {mode}", row)


# --- The second transaction sees what the first committed ---


def test_deletion_by_sql_waits_for_an_uncommitted_order_and_is_refused(
    url: str, conn: Connection, context: Context
) -> None:
    who = context.partners[0]
    order = api_call(who, "submit_order", items=items(SKU_000=1), idempotency_key="k")
    deletion = sql_operation("update app.partners set deleted_at = now() where id = %s", who.sub)
    with pytest.raises(psycopg.Error, match="PARTNER_NOT_SETTLED"):
        run_overlapping(url, order, deletion)


def test_changes_on_their_way_to_the_trail_are_erased_too(
    url: str, conn: Connection, context: Context
) -> None:
    """A flush that has moved rows, but not committed them, delays the erasure."""
    who = context.partners[0]
    superadmin = Caller("superadmin", make_agent(conn, None, role="SUPERADMIN").sub)
    run_job(conn, "audit-flush")
    conn.execute("update app.partners set address = 'Jalan Rahasia 7' where id = %s", [who.sub])
    erase = api_call(superadmin, "erase_partner", partner_id=who.sub, reason="x")
    run_overlapping(url, sql_operation("select app.flush_audit_buffer()"), erase)
    trail = "select distinct new_value ->> 'address' from app.audit_logs where new_value ->> 'address' > ''"
    assert conn.execute(trail).fetchall() == [("***",)]


def test_escalation_is_acknowledged_by_the_first_admin_only(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    conn.execute("select app.escalate_now(%s, 'test')", [order["id"]])
    log = value(conn, "select id from app.sla_escalation_logs limit 1")
    first, second = (
        api_call(admin, "acknowledge_escalation", escalation_id=log)
        for admin in (context.admin, context.admin2)
    )
    assert run_overlapping(url, first, second) == "ALREADY_ACKNOWLEDGED"


def test_second_correction_of_the_same_points_is_refused(
    url: str, conn: Connection, context: Context
) -> None:
    partner = context.partners[0].sub
    call(
        conn,
        context.admin,
        "adjust_points",
        partner_id=partner,
        points=50,
        reason="start",
        idempotency_key="start",
    )
    take, again = (
        api_call(
            context.admin, "adjust_points", partner_id=partner, points=-50, reason="back", idempotency_key=key
        )
        for key in ("back", "again")
    )
    assert run_overlapping(url, take, again) == "POINTS_INSUFFICIENT"
    assert value(conn, "select point_balance from app.partners where id = %s", partner) == 0


@pytest.mark.parametrize(
    ("booking", "refusal"),
    [
        ("record_payment", "INVOICE_CLOSED"),
        ("record_refund", "REFUND_EXCEEDS_DUE"),
        ("issue_invoice", "INVOICE_EXCEEDS_ORDER"),
    ],
)
def test_second_booking_of_the_same_amount_is_refused(
    url: str, conn: Connection, context: Context, booking: str, refusal: str
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=10))
    invoice = approve(conn, context, order)
    subject = {"invoice_id": invoice["id"]}
    if booking == "record_refund":
        pay(conn, context, invoice)
    if booking != "record_payment":
        call(conn, context.admin, "cancel_invoice", invoice_id=invoice["id"], reason="salah")
        subject |= {"reason": "x"}
    if booking == "issue_invoice":
        subject = {"order_id": order["id"], "reason": "x"}
    first, second = (
        api_call(context.admin, booking, **subject, amount=invoice["amount"], idempotency_key=key)
        for key in ("1", "2")
    )
    assert run_overlapping(url, first, second) == refusal
    assert broken_invariants(conn) == {}


def test_last_reward_unit_goes_to_the_first_redemption(url: str, conn: Connection, context: Context) -> None:
    for partner in context.partners[:2]:
        adjust_points(conn, context.admin, partner, 400, "start")
    first, second = (
        api_call(partner, "redeem_reward", reward_id=context.rewards[1], idempotency_key="k")
        for partner in context.partners[:2]
    )
    assert run_overlapping(url, first, second) == "REWARD_UNAVAILABLE"


def test_repeat_of_an_uncommitted_submission_returns_the_same_order(
    url: str, conn: Connection, context: Context
) -> None:
    order = api_call(context.partners[0], "submit_order", items=items(SKU_000=1), idempotency_key="the same")
    assert run_overlapping(url, order, order)["status"] == "SUBMITTED"
    assert value(conn, "select count(*) from app.orders") == 1


@pytest.mark.regression("shopware/shopware#19943")
def test_draft_is_submitted_once_by_overlapping_submissions(
    url: str, conn: Connection, context: Context
) -> None:
    """In shopware/shopware#19943 the cart is read before it is locked, and becomes two orders."""
    draft = call(conn, context.partners[0], "save_draft", items=items(SKU_000=2))
    first, second = (
        api_call(context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key=key)
        for key in "ab"
    )
    assert run_overlapping(url, first, second) == "ILLEGAL_TRANSITION"
    assert value(conn, "select sum(reserved) from app.inventory") == 2
    assert broken_invariants(conn) == {}


def test_stock_is_locked_in_product_order_wherever_its_rows_are(
    url: str, conn: Connection, context: Context
) -> None:
    """The row of the lowest id is the last of the table: a plan that reads the table locks it last."""
    lowest = insert(
        conn, "products", id=str(uuid.UUID(int=1)), sku="SKU-LOWEST", name="Lowest", base_price=100_000
    )
    conn.execute("update app.inventory set erp_stock = 10 where product_id = %s", [lowest])
    conn.execute("vacuum analyze app.inventory")
    row = "select from app.inventory where product_id = %s for no key update"
    order = api_call(
        context.partners[0], "submit_order", items=items(SKU_000=1, SKU_LOWEST=1), idempotency_key="k"
    )
    with open_transaction(url) as holder:
        holder.execute(row, [lowest])
        background = BackgroundOperation(url, order)
        assert background.start(conn), "the order did not wait for the product"
        assert not is_locked(url, row, context.products["SKU-000"])
        holder.commit()
    assert background.outcome()["status"] == "SUBMITTED"


@pytest.mark.regression("vendurehq/vendure#4930")
@pytest.mark.regression("saleor/saleor#543")
def test_units_reserved_by_an_uncommitted_order_are_not_sold_again(
    url: str, conn: Connection, context: Context
) -> None:
    """In vendurehq/vendure#4930 and saleor/saleor#543 check and allocation are two transactions."""
    first, second = (
        api_call(partner, "submit_order", items=items(SKU_000=600), idempotency_key="k")
        for partner in context.partners[:2]
    )
    assert run_overlapping(url, first, second) == "OUT_OF_STOCK"
    assert broken_invariants(conn) == {}


def test_order_is_flagged_when_an_uncommitted_order_uses_the_credit(
    url: str, conn: Connection, context: Context
) -> None:
    partner = context.partners[0]
    conn.execute("update app.partners set credit_limit = 150000 where id = %s", [partner.sub])
    first, second = (
        api_call(partner, "submit_order", items=items(SKU_000=1), idempotency_key=key) for key in "ab"
    )
    assert run_overlapping(url, first, second)["is_over_limit"] is True
    assert broken_invariants(conn) == {}


def test_rules_of_orders_follow_two_overlapping_changes_of_configs(
    url: str, conn: Connection, context: Context
) -> None:
    first, second = (
        api_call(context.admin, "set_config", config_key=key, config_value=new)
        for key, new in (("order.minimum_threshold", 7), ("loyalty.rupiah_per_point", 8))
    )
    run_overlapping(url, first, second)
    rules = "select distinct minimum_threshold, rupiah_per_point from app.order_rules"
    assert conn.execute(rules).fetchall() == [(7, 8)]


def test_overlapping_claims_hold_one_message_of_a_recipient(
    url: str, conn: Connection, context: Context
) -> None:
    for text in ("one", "two"):
        conn.execute(
            "select app.enqueue_message('inbound_text', 'AGENT', %s, null, %s)",
            [context.admin.sub, Jsonb({"sender": "x", "text": text})],
        )
    claim = sql_operation("select count(*) from app.claim_messages(1, 60)")
    assert run_overlapping(url, claim, claim) == 0


def _insert_message(conn: Connection, context: Context, **columns: Any) -> str:
    """Insert a message with these SQL values of columns; returns its id."""
    columns = {"recipient_id": f"'{context.subdists[0].sub}'"} | columns
    names = ", ".join(columns)
    values = ", ".join(str(v) for v in columns.values())
    return str(
        value(
            conn,
            f"insert into app.messages (template, recipient_type, variables, priority, {names})"
            f' values (\'inbound_text\', \'SUBDIST\', \'{{"sender": "x", "text": "y"}}\', 2, {values})'
            " returning id",
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
def test_reaper_skips_locked_messages(
    url: str, conn: Connection, context: Context, columns: dict[str, str]
) -> None:
    message = _insert_message(conn, context, **columns)
    hold = sql_operation("select id from app.messages where id = %s for update", message)
    assert run_without_waiting(url, hold, sql_operation("select app.reap_messages()")) == 0
    assert value(conn, "select app.reap_messages()") >= 1


def test_claim_skips_locked_messages(url: str, conn: Connection, context: Context) -> None:
    message = _insert_message(conn, context)
    hold = sql_operation("select id from app.messages where id = %s for update", message)
    assert (
        run_without_waiting(url, hold, sql_operation("select count(*) from app.claim_messages(10, 60)")) == 0
    )
    assert value(conn, "select count(*) from app.claim_messages(10, 60)") == 1


def test_message_reported_failed_twice_is_sent_by_email_once(
    url: str, conn: Connection, context: Context
) -> None:
    conn.execute("update app.sub_distributors set email = 'a@b.test'")
    message = _insert_message(conn, context, status="'CLAIMED'", lease_until="now() + interval '1 h'")
    failed = sql_operation("select app.message_failed(%s, 'E', false)", message)
    run_overlapping(url, failed, failed)
    assert value(conn, "select count(*) from app.messages where channel = 'EMAIL'") == 1


def test_delivered_report_does_not_overwrite_an_uncommitted_read_report(
    url: str, conn: Connection, context: Context
) -> None:
    message = _insert_message(conn, context, status="'SENT'", provider_id="'wamid.1'")
    first, second = (
        sql_operation("select app.message_status('wamid.1', %s, now())", status)
        for status in ("read", "delivered")
    )
    run_overlapping(url, first, second)
    assert value(conn, "select status from app.messages where id = %s", message) == "READ"


def _insert_unknown_message(conn: Connection, context: Context) -> str:
    return _insert_message(conn, context, status="'UNKNOWN'", unknown_since="now()")


def _status_report(provider_id: str, status: str, message: str) -> Operation:
    return sql_operation(
        "select app.message_status(%s, %s, now(), %s, '131026')", provider_id, status, message
    )


def test_report_overlapping_the_first_belongs_to_the_same_sending(
    url: str, conn: Connection, context: Context
) -> None:
    message = _insert_unknown_message(conn, context)
    run_overlapping(
        url, _status_report("wamid.1", "sent", message), _status_report("wamid.1", "delivered", message)
    )
    assert value(conn, "select status from app.messages where id = %s", message) == "DELIVERED"


def test_failure_of_another_sending_does_not_overwrite_an_uncommitted_sent_report(
    url: str, conn: Connection, context: Context
) -> None:
    message = _insert_unknown_message(conn, context)
    run_overlapping(
        url, _status_report("wamid.1", "sent", message), _status_report("wamid.2", "failed", message)
    )
    assert value(conn, "select status from app.messages where id = %s", message) == "SENT"


def test_overlapping_provider_errors_notify_headquarters_once(
    url: str, conn: Connection, context: Context
) -> None:
    claimed = {
        "status": "'CLAIMED'",
        "lease_until": "now() + interval '1 h'",
        "recipient_id": "gen_random_uuid()",
    }
    first, second = (
        sql_operation(
            "select app.message_failed(%s, '190', false)", _insert_message(conn, context, **claimed)
        )
        for _ in "ab"
    )
    run_without_waiting(url, first, second)
    notifications = (
        "select count(*), count(distinct recipient_id) from app.messages where template = 'messenger_trouble'"
    )
    assert conn.execute(notifications).fetchall() == [(2, 2)]


def test_order_with_an_uncommitted_cancellation_is_not_escalated(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    cancel = api_call(context.partners[0], "cancel_order", order_id=order["id"])
    run_overlapping(url, cancel, sql_operation("select app.escalate_now(%s, 'too late')", order["id"]))
    assert value(conn, "select count(*) from app.sla_escalation_logs") == 0


def test_lines_of_a_draft_cannot_be_deleted_while_it_is_submitted(
    url: str, conn: Connection, context: Context
) -> None:
    draft = call(conn, context.partners[0], "save_draft", items=items(SKU_000=2))
    submission = api_call(context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    with pytest.raises(psycopg.DatabaseError, match="ORDER_FROZEN"):
        run_overlapping(
            url, submission, sql_operation("delete from app.order_items where order_id = %s", draft["id"])
        )
    assert broken_invariants(conn) == {}


def test_submission_prices_a_draft_after_an_uncommitted_change_of_its_lines(
    url: str, conn: Connection, context: Context
) -> None:
    draft = call(conn, context.partners[0], "save_draft", items=items(SKU_000=2))
    change = sql_operation(
        "update app.order_items set quantity = 5, line_total = 5 * unit_price where order_id = %s",
        draft["id"],
    )
    submission = api_call(context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert run_overlapping(url, change, submission)["grand_total"] == 500_000
    assert broken_invariants(conn) == {}


def test_draft_is_not_edited_while_it_is_submitted(url: str, conn: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(conn, who, "save_draft", items=items(SKU_000=2))
    submission = api_call(who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    edit = api_call(who, "update_draft", order_id=draft["id"], items=items(SKU_000=5))
    assert run_overlapping(url, submission, edit) == "ORDER_FROZEN"
    assert value(conn, "select sum(reserved) from app.inventory") == 2
    assert broken_invariants(conn) == {}


def test_submission_waits_for_an_edit_of_the_draft(url: str, conn: Connection, context: Context) -> None:
    who = context.partners[0]
    draft = call(conn, who, "save_draft", items=items(SKU_000=2))
    edit = api_call(who, "update_draft", order_id=draft["id"], items=items(SKU_000=5))
    submission = api_call(who, "submit_draft", order_id=draft["id"], idempotency_key="k")
    assert run_overlapping(url, edit, submission)["grand_total"] == 500_000
    assert value(conn, "select sum(reserved) from app.inventory") == 5
    assert broken_invariants(conn) == {}


def test_button_reply_after_an_uncommitted_response_is_out_of_date(
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
        run_overlapping(url, accept, sql_operation("select app.handle_button_reply(%s, %s)", payload, number))
        == "button out of date"
    )
    assert value(conn, "select status::text from app.orders where id = %s", order["id"]) == "PROCESSING"


def test_button_reply_is_processed_later_when_its_order_is_locked(
    url: str, conn: Connection, context: Context
) -> None:
    """Otherwise the reply is stored as failed, and the order is escalated although it was accepted."""
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
    with open_transaction(url) as holder:
        holder.execute("select from app.orders where id = %s for no key update", [order["id"]])
        conn.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("select api.process_inbox()")
        holder.rollback()
    assert value(conn, "select api.process_inbox()") == 1
    assert value(conn, "select status::text from app.orders where id = %s", order["id"]) == "PROCESSING"


@pytest.mark.parametrize("retry", [True, False])
def test_offer_that_fails_while_it_is_withdrawn_is_not_sent_again(
    url: str, conn: Connection, context: Context, retry: bool
) -> None:
    conn.execute("update app.sub_distributors set email = 'a@b.test'")
    order = submit(conn, context.partners[0], items(SKU_000=1))
    [offer] = conn.execute("select id from app.claim_messages(10, 60)").fetchall()
    cancel = api_call(context.partners[0], "cancel_order", order_id=order["id"])
    failed = sql_operation("select app.message_failed(%s, '131026', %s)", offer[0], retry)
    run_overlapping(url, failed, cancel)
    offers = (
        "select count(*) from app.messages where template = 'order_routed'"
        " and (status = 'CLAIMED' or status = 'PENDING' and (expires_at > now()) is not false)"
    )
    assert value(conn, offers) == 0


def test_delivery_failure_waits_for_the_order_without_locking_the_message(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    [offer] = conn.execute("select id from app.claim_messages(10, 60)").fetchall()
    with open_transaction(url) as holder:
        holder.execute("select from app.orders where id = %s for no key update", [order["id"]])
        for report in (
            "select app.message_failed(%s, '131026', false)",
            "select app.message_status('wamid.1', 'failed', now(), %s)",
        ):
            second = BackgroundOperation(url, sql_operation(report, offer[0]))
            assert second.start(conn), "the operation did not wait for the lock"
            assert not is_locked(url, "select from app.messages where id = %s for update", offer[0])
            holder.rollback()
            second.outcome()
            conn.execute(
                "update app.messages set status = 'CLAIMED', provider_id = null where id = %s", [offer[0]]
            )
            holder.execute("select from app.orders where id = %s for no key update", [order["id"]])


def test_reaper_skips_offers_of_locked_orders(url: str, conn: Connection, context: Context) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    conn.execute(
        "update app.messages set status = 'UNKNOWN', unknown_since = now() - interval '1 day', repeats = 100"
    )
    hold = sql_operation("select id from app.orders where id = %s for no key update", order["id"])
    assert run_without_waiting(url, hold, sql_operation("select app.reap_messages()")) == 0
    assert value(conn, "select app.reap_messages()") == 1


def test_overlapping_changes_of_service_level_hours_keep_them_ascending(url: str, conn: Connection) -> None:
    first = sql_operation("select app.set_config_value('sla.manager_hours', '18')")
    second = sql_operation("select app.set_config_value('sla.reminder_hours', '20')")
    with pytest.raises(psycopg.DatabaseError, match="INVALID_CONFIG_VALUE"):
        run_overlapping(url, first, second)


def test_point_queue_locks_partners_in_id_order(url: str, conn: Connection, context: Context) -> None:
    """A batch of payments locks partners by id; a queue that locks them by age would deadlock with it."""
    low, high = sorted(context.partners[:2], key=lambda p: str(p.sub))
    for partner in (high, low):
        pay(conn, context, approve(conn, context, submit(conn, partner, items(SKU_000=10))))
    with open_transaction(url) as holder:
        holder.execute("select from app.partners where id = %s for no key update", [low.sub])
        second = BackgroundOperation(url, vest_points)
        assert second.start(conn), "the operation did not wait for the lock"
        assert not is_locked(url, "select from app.partners where id = %s for no key update", high.sub)
        holder.rollback()
    assert second.outcome() == 2


def test_response_after_an_uncommitted_rerouting_is_refused(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    subdist = value(conn, "select routed_to_subdist_id::text from app.orders where id = %s", order["id"])
    other = next(s.sub for s in context.subdists if s.sub != subdist)
    reroute = api_call(context.admin, "reroute_order", order_id=order["id"], subdist_id=other)
    accept = api_call(Caller("subdist", subdist), "respond_order", order_id=order["id"], decision="ACCEPT")
    assert run_overlapping(url, reroute, accept) == "NOT_FOUND"


def test_overlapping_edits_cannot_create_a_cycle_of_regions(
    url: str, conn: Connection, context: Context
) -> None:
    under = "update app.regions set parent_region_id = %s where id = %s"
    one, two = context.regions["id"], context.regions["papua"]
    with pytest.raises(psycopg.DatabaseError, match="INVALID_REGION"):
        run_overlapping(url, sql_operation(under, one, two), sql_operation(under, two, one))


@pytest.mark.parametrize("first", ["erp_apply_products", "erp_apply_stock"])
def test_stock_level_reaches_a_product_that_is_created_concurrently(
    url: str, conn: Connection, context: Context, first: str
) -> None:
    """Neither call sees what the other has not committed. Unless they wait for each other, the level stays
    in quarantine.
    """
    arguments = {
        "erp_apply_products": {"products": [{"sku": "NEW", "name": "Sampo", "base_price": 1000}]},
        "erp_apply_stock": {"levels": [{"sku": "NEW", "quantity": 9}]},
    }
    [second] = set(arguments) - {first}
    run_overlapping(
        url,
        api_call(context.erp, first, **arguments[first]),
        api_call(context.erp, second, **arguments[second]),
    )
    query = "select s.erp_stock from app.inventory s join app.products p on p.id = s.product_id"
    assert value(conn, f"{query} where p.sku = 'NEW'") == 9
    assert value(conn, "select count(*) from app.erp_quarantine") == 0


def test_second_of_overlapping_partition_runs_creates_none(url: str, conn: Connection) -> None:
    make = sql_operation("select app.make_audit_partitions(7)")
    assert run_overlapping(url, make, make) == 0


# --- Jobs and workers that share a queue do not wait for each other ---


def test_overlapping_audit_flushes_do_not_wait(url: str, conn: Connection, context: Context) -> None:
    flush = sql_operation("select app.flush_audit_buffer()")
    assert run_without_waiting(url, flush, flush) == 0
    assert broken_invariants(conn) == {}


def test_overlapping_sweeps_remind_once_without_waiting(url: str, conn: Connection, context: Context) -> None:
    submit(conn, context.partners[0], items(SKU_000=1))
    conn.execute("update app.orders set routed_at = now() - interval '2 days'")
    sweep = sql_operation("select app.sweep_service_level()")
    assert run_without_waiting(url, sweep, sweep) == 0
    assert (
        value(conn, "select count(*) from app.sla_escalation_logs where escalation_level = 'REMINDER'") == 1
    )


def test_point_queue_skips_locked_entries(url: str, conn: Connection, context: Context) -> None:
    pay(conn, context, approve(conn, context, submit(conn, context.partners[0], items(SKU_000=10))))
    with open_transaction(url) as first, psycopg.connect(url, autocommit=True) as watcher:
        first.execute("select from app.point_queue for update")
        second = BackgroundOperation(url, vest_points)
        assert not second.start(watcher), "the second operation waited for the first"
        first.rollback()
    assert second.outcome() == 0
    assert vest_points(conn) == 1


def test_overlapping_inbox_runs_do_not_wait(url: str, conn: Connection) -> None:
    conn.execute("""select app.inbound_message('{"entry": []}')""")
    work = sql_operation("select api.process_inbox()")
    assert run_without_waiting(url, work, work) == 0


def test_second_statistics_refresh_is_skipped_while_one_runs(url: str, conn: Connection) -> None:
    refresh = sql_operation("select jobs.refresh_statistics()")
    with open_transaction(url) as first, psycopg.connect(url, autocommit=True) as watcher:
        first.execute("select jobs.refresh_statistics()")
        second = BackgroundOperation(url, refresh)
        assert not second.start(watcher), "the second operation waited for the first"
        first.commit()
    assert second.outcome() == 0


# --- Authentication ---


def _open_session(conn: Connection, user: Caller) -> Any:
    return value(conn, "select auth.open_session(%s, %s)", user.sub, user.role)


def test_overlapping_refreshes_of_one_token_get_the_same_successor(
    url: str, conn: Connection, context: Context
) -> None:
    token = _open_session(conn, context.partners[0])["refresh_token"]
    refresh = sql_operation("select auth.refresh_session(%s)", token)
    successor = run_overlapping(url, refresh, refresh)["refresh_token"]
    stored = "select token_hash = auth.token_hash(%s) from auth.refresh_tokens where used_at is null"
    assert conn.execute(stored, [successor]).fetchall() == [(True,)]


def test_repeated_refresh_that_waits_for_the_use_of_its_successor_closes_the_session(
    url: str, conn: Connection, context: Context
) -> None:
    first = _open_session(conn, context.partners[0])["refresh_token"]
    second = value(conn, "select auth.refresh_session(%s)", first)["refresh_token"]
    use, repeat = (sql_operation("select auth.refresh_session(%s)", token) for token in (second, first))
    assert run_overlapping(url, use, repeat)["code"] == "REFRESH_TOKEN_REUSED"


def test_password_is_set_once_by_overlapping_uses_of_a_code(
    url: str, conn: Connection, context: Context
) -> None:
    conn.execute("select auth.request_password_reset(email) from app.partners limit 1")
    token = value(conn, "select variables ->> 'token' from app.messages where template = 'password_reset'")
    first, second = (
        sql_operation("select auth.reset_password(%s, %s)", token, new)
        for new in ("a first new one", "a second new one")
    )
    assert run_overlapping(url, first, second)["code"] == "INVALID_LINK"
    matching = "select count(*) from app.partners where auth.password_matches(%s, password_hash)"
    assert value(conn, matching, "a first new one") == 1


def test_two_codes_of_one_account_do_not_deadlock(url: str, conn: Connection, context: Context) -> None:
    for _ in range(2):
        conn.execute("select auth.request_password_reset('salon0@hub.test')")
    codes = [
        token
        for (token,) in conn.execute(
            "select variables ->> 'token' from app.messages where template = 'password_reset'"
        )
    ]
    first, second = (
        sql_operation("select auth.reset_password(%s, 'a new password')", code) for code in codes
    )
    assert run_overlapping(url, first, second)["code"] == "INVALID_LINK"


PASSWORD = "rahasia-sekali"


@pytest.mark.parametrize(
    "change",
    ["select auth.set_password('{role}', %s, 'sandi-yang-baru', 'changed', null)",
     "update app.{role}s set is_active = false where id = %s"],
)  # fmt: skip
@pytest.mark.parametrize("role", ["partner", "agent"])
def test_sign_in_that_is_being_checked_while_the_account_changes_leaves_no_session(
    url: str, conn: Connection, context: Context, role: str, change: str
) -> None:
    who = {"partner": context.partners[0], "agent": context.agents[0]}[role]
    hashed = f"update app.{role}s set password_hash = extensions.crypt(%s, extensions.gen_salt('bf', 4))"
    conn.execute(f"{hashed} where id = %s".encode(), [PASSWORD, who.sub])
    email = value(conn, f"select email from app.{role}s where id = %s", who.sub)
    answer = run_overlapping(
        url,
        sql_operation(change.format(role=role), who.sub),
        api_call(Caller("anon"), "login", email=email, password=PASSWORD),
    )
    assert answer["code"] == "INVALID_CREDENTIALS"
    assert value(conn, "select count(*) from auth.sessions where revoked_at is null") == 0


def test_sign_in_and_a_reset_of_the_password_do_not_deadlock(
    url: str, conn: Connection, context: Context
) -> None:
    """Both lock the failed attempts before the account."""
    email = "salon0@hub.test"
    conn.execute("select auth.request_password_reset(%s)", [email])
    code = value(conn, "select variables ->> 'token' from app.messages where template = 'password_reset'")
    attempts = "auth.attempt_key('email', %s)"
    conn.execute(f"insert into auth.login_attempts (key) values ({attempts})", [email])

    def sign_in(other: Connection) -> None:
        other.execute(f"select auth.count_attempt({attempts}, 5)", [email])

    with open_transaction(url) as first, psycopg.connect(url, autocommit=True) as watcher:
        sign_in(first)
        reset = BackgroundOperation(
            url, api_call(Caller("anon"), "reset_password", token=code, new_password="sandi-yang-baru")
        )
        assert reset.start(watcher), "the reset waits for the attempts"
        first.execute("select from app.partners where email = %s for no key update", [email])
        first.commit()
        assert reset.outcome() == {"changed": True, "role": "partner"}


def test_link_that_is_being_redeemed_during_a_suspension_opens_no_session(
    url: str, conn: Connection, context: Context
) -> None:
    subdist = context.subdists[0]
    number = value(conn, "select whatsapp_number from app.sub_distributors where id = %s", subdist.sub)
    conn.execute("select auth.request_link(%s)", [number])
    token = value(conn, "select variables ->> 'token' from app.messages where template = 'sign_in_link'")
    suspend = "update app.sub_distributors set status = 'SUSPENDED' where id = %s"
    answer = run_overlapping(
        url, sql_operation(suspend, subdist.sub), api_call(Caller("anon"), "redeem_link", token=token)
    )
    assert answer["code"] == "INVALID_LINK"
    assert value(conn, "select count(*) from auth.sessions") == 0


def test_overlapping_requests_of_links_send_no_more_than_one_at_a_time_would(
    url: str, conn: Connection, context: Context
) -> None:
    number = value(
        conn, "select whatsapp_number from app.sub_distributors where id = %s", context.subdists[0].sub
    )
    for _ in range(4):
        conn.execute("select auth.request_link(%s)", [number])
    request = api_call(Caller("anon"), "request_link", whatsapp_number=number)
    run_overlapping(url, request, request)
    assert value(conn, "select count(*) from auth.sign_in_links") == 5


def test_shadow_session_that_is_being_opened_while_the_password_changes_is_refused(
    url: str, conn: Connection, context: Context
) -> None:
    agent = context.agents[0]
    session = value(conn, "select auth.open_session(%s, 'agent')", agent.sub)
    sid = value(conn, "select id from auth.sessions where subject_id = %s", agent.sub)
    assert session["role"] == "agent"
    outcome = run_overlapping(
        url,
        sql_operation("select auth.set_password('agent', %s, 'sandi-yang-baru', 'changed', null)", agent.sub),
        api_call(
            Caller("agent", agent.sub, {"sid": str(sid)}),
            "start_shadow_session",
            partner_id=context.partners[0].sub,
        ),
    )
    assert outcome == "SESSION_CLOSED"


def test_session_that_is_being_closed_issues_no_new_tokens(
    url: str, conn: Connection, context: Context
) -> None:
    tokens = _open_session(conn, context.partners[0])
    session = value(conn, "select id::text from auth.sessions")
    close = sql_operation("select auth.revoke_session(%s, 'logout')", session)
    answer = run_overlapping(
        url, close, sql_operation("select auth.refresh_session(%s)", tokens["refresh_token"])
    )
    assert answer["code"] == "INVALID_REFRESH_TOKEN"


def test_sign_in_link_is_accepted_once_by_overlapping_redemptions(
    url: str, conn: Connection, context: Context
) -> None:
    number = value(conn, "select whatsapp_number from app.sub_distributors limit 1")
    conn.execute("select auth.request_link(%s)", [number])
    token = value(conn, "select variables ->> 'token' from app.messages where template = 'sign_in_link'")
    redeem = sql_operation("select auth.redeem_link(%s)", token)
    assert run_overlapping(url, redeem, redeem)["code"] == "INVALID_LINK"


@pytest.mark.parametrize("role", ["partner", "agent"])
def test_first_of_overlapping_password_changes_is_kept(
    url: str, conn: Connection, context: Context, role: str
) -> None:
    user = context.partners[0] if role == "partner" else context.agents[0]
    table = "partners" if role == "partner" else "agents"
    conn.execute(
        f"update app.{table} set password_hash = auth.hash_password('the old password') where id = %s",
        [user.sub],
    )
    first, second = (
        api_call(user, "change_password", current_password="the old password", new_password=new)
        for new in ("a first new one", "a second new one")
    )
    assert run_overlapping(url, first, second)["code"] == "INVALID_CREDENTIALS"


# --- A sweep repairs what locks cannot prevent ---


def test_order_rerouted_during_a_suspension_is_handed_over_by_the_sweep(
    url: str, conn: Connection, context: Context
) -> None:
    order = submit(conn, context.partners[0], items(SKU_000=1))
    serving = value(conn, "select routed_to_subdist_id::text from app.orders where id = %s", order["id"])
    other = next(s.sub for s in context.subdists if s.sub != serving)
    reroute = api_call(context.admin, "reroute_order", order_id=order["id"], subdist_id=other)
    suspend = sql_operation("update app.sub_distributors set status = 'SUSPENDED' where id = %s", other)
    run_overlapping(url, reroute, suspend)
    assert value(conn, "select jobs.sweep_service_level()") == 1
    routed = value(conn, "select routed_to_subdist_id::text from app.orders where id = %s", order["id"])
    assert routed != other
    assert value(conn, "select jobs.sweep_service_level()") == 0
    assert broken_invariants(conn) == {}


def test_sweep_of_several_suspended_sub_distributors_locks_all_partners_first(
    url: str, conn: Connection, context: Context
) -> None:
    """One sub-distributor after the other would hold the later partner and wait for the earlier one."""
    earlier, later = sorted(context.partners[:2], key=lambda partner: str(partner.sub))
    for partner, subdist in ((later, context.subdists[0]), (earlier, context.subdists[1])):
        order = submit(conn, partner, items(SKU_000=1))
        call(conn, context.admin, "reroute_order", order_id=order["id"], subdist_id=subdist.sub)
    with conn.transaction():
        conn.execute("set local session_replication_role = replica")
        conn.execute("update app.sub_distributors set status = 'SUSPENDED'")
    lock = "select from app.partners where id = %s for no key update"
    with open_transaction(url) as other, psycopg.connect(url, autocommit=True) as watcher:
        other.execute(lock, [earlier.sub])
        sweep = BackgroundOperation(url, sql_operation("select jobs.sweep_service_level()"))
        assert sweep.start(watcher)
        other.execute("set local lock_timeout = '5 s'")
        other.execute(lock, [later.sub])
        other.commit()
        assert sweep.outcome() == 2
    assert broken_invariants(conn) == {}
