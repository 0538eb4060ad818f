"""After a crash test: verify that each acknowledged write is in the database exactly once."""

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg

from devtools.crash_test.environment import Connection
from devtools.crash_test.load import Acknowledged, Target, run_jobs
from hub.check import check


@dataclass
class Findings:
    """The counts and the violations that were found."""

    orders: int = 0
    orders_acknowledged: int = 0
    payments: int = 0
    payments_acknowledged: int = 0
    messages: int = 0
    deliveries: int = 0
    delivered_again: int = 0
    approved: int = 0
    exported: int = 0
    lost: int = 0
    """Acknowledged writes that are missing, and messages and exports that never arrived."""
    doubled: int = 0
    """The same, too often; for messages, more often than the outbox counts."""
    counted: int = 0
    """Repetitions that the outbox counts."""
    violations: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The counts as lines of text."""
        exports = [f"exports to the ERP: {self.exported} of {self.approved} orders"] if self.approved else []
        return [
            f"orders: {self.orders_acknowledged} acknowledged, {self.orders} in the database",
            f"payments: {self.payments_acknowledged} acknowledged, {self.payments} in the database",
            f"messages: {self.messages} enqueued, {self.deliveries} deliveries,"
            f" {self.delivered_again} repeated, {self.counted} repetitions counted by the outbox",
            *exports,
            f"lost: {self.lost}; doubled beyond those counted: {self.doubled}",
        ]


def drain_and_verify(environment: Target, acknowledged: Acknowledged, seconds: float) -> Findings:
    """Run the jobs until no work is pending, and verify; a backlog stuck for `seconds` is a violation."""
    with psycopg.connect(environment.url, autocommit=True) as conn:
        if not drain(conn, seconds):
            acknowledged.surprises.append(f"work is pending, and none of it was done for {seconds} seconds")
        if environment.orders_folder:
            acknowledged.take_exported(environment.orders_folder)
        return verify(conn, acknowledged, environment.delivered)


def drain(conn: Connection, seconds: float) -> bool:
    """Run the jobs until no work is pending; False when the backlog has not shrunk for `seconds`."""
    least, until = sys.maxsize, time.monotonic() + seconds
    while time.monotonic() < until:
        run_jobs(conn)
        pending = conn.execute(
            "select (select count(*) from app.messages where status in ('PENDING', 'CLAIMED', 'UNKNOWN'))"
            " + (select count(*) from app.point_queue) + (select count(*) from app.audit_buffer)"
            " + (select count(*) from app.orders where status in ('APPROVED', 'SHIPPED', 'COMPLETED')"
            " and erp_reference is null and app.config_text('erp.kind') <> 'none')"
        ).fetchone()
        if pending == (0,):
            return True
        # Messages to one recipient are sent one after the other, so a long backlog takes its time.
        if pending and pending[0] < least:
            least, until = pending[0], time.monotonic() + seconds
        time.sleep(0.2)
    return False


def verify(conn: Connection, acknowledged: Acknowledged, delivered: Path) -> Findings:
    """Compare the acknowledged writes with the database and with the delivered messages."""
    findings = Findings(
        orders_acknowledged=len(acknowledged.orders), payments_acknowledged=len(acknowledged.payments)
    )
    _orders(conn, acknowledged, findings)
    _payments(conn, acknowledged, findings)
    _messages(conn, delivered, findings)
    _exports(conn, acknowledged, findings)
    for broken in check(conn):
        if broken.rows:
            first = broken.offending[0]["details"]
            findings.violations.append(f"invariant {broken.invariant}: {broken.rows} rows, e.g. {first}")
    findings.violations += [f"unexpected: {surprise}" for surprise in acknowledged.surprises[:20]]
    return findings


def _orders(conn: Connection, acknowledged: Acknowledged, findings: Findings) -> None:
    rows = conn.execute(
        "select partner_id::text, idempotency_key, id::text, grand_total, status::text from app.orders"
    ).fetchall()
    findings.orders = len(rows)
    by_key: dict[tuple[str, str], list[tuple[str, Decimal]]] = {}
    for partner, key, order, total, _ in rows:
        by_key.setdefault((partner, key), []).append((order, total))
    for order in acknowledged.orders:
        found = by_key.get((order.partner, order.key), [])
        findings.lost += (order.id, order.grand_total) not in found
        if found != [(order.id, order.grand_total)]:
            findings.violations.append(
                f"order {order.id} of {order.grand_total} was acknowledged, the database has {found}"
            )
    doubled = [key for key, found in by_key.items() if len(found) > 1]
    findings.doubled += sum(len(by_key[key]) - 1 for key in doubled)
    findings.violations += [f"key {key} created {len(by_key[key])} orders" for key in doubled]
    findings.violations += [
        f"order under {key} was never requested" for key in by_key.keys() - set(acknowledged.requested)
    ]
    alive = {order for _, _, order, _, status in rows if status in {"APPROVED", "SHIPPED", "COMPLETED"}}
    undone = set(acknowledged.approved) - alive
    findings.lost += len(undone)
    findings.violations += [f"order {order} was acknowledged as APPROVED and is not" for order in undone]


def _payments(conn: Connection, acknowledged: Acknowledged, findings: Findings) -> None:
    rows = conn.execute(
        "select invoice_id::text, reference_number, amount from app.invoice_payments"
    ).fetchall()
    findings.payments = len(rows)
    booked = Counter(rows)
    for payment in acknowledged.payments:
        count = booked[(payment.invoice, payment.reference, payment.amount)]
        findings.lost += count == 0
        findings.doubled += max(0, count - 1)
        if count != 1:
            findings.violations.append(
                f"payment {payment.reference} of {payment.amount} was acknowledged, booked {count} times"
            )


def _messages(conn: Connection, delivered: Path, findings: Findings) -> None:
    """Each enqueued message was delivered; more than once is allowed, and counted by the outbox.

    A notice that asks someone to act is withdrawn when their turn ends before it is sent, or it expires then
    if a messenger that died had claimed it, and perhaps sent it.
    """
    rows = conn.execute(
        "select m.id::text, m.status, m.status = 'WITHDRAWN'"
        " and m.error_code in ('answered', 'withdrawn', 'expired') and exists ("
        "select from app.orders as o where o.id = m.order_id"
        " and (o.awaiting_since > m.created_at or o.awaiting = 'NONE')), m.repeats from app.messages as m"
    ).fetchall()
    due = [(message, status) for message, status, is_withdrawn, _ in rows if not is_withdrawn]
    findings.messages = len(due)
    lines = delivered.read_text().splitlines() if delivered.exists() else []
    got = Counter(json.loads(line)["id"] for line in lines)
    findings.deliveries = got.total()
    findings.delivered_again = got.total() - len(got)
    findings.counted = sum(row[3] for row in rows)
    findings.lost += sum(not got[message] for message, _ in due)
    for message, status in due:
        if not got[message]:
            findings.violations.append(f"message {message} ({status}) was never delivered")
        elif status not in {"SENT", "DELIVERED", "READ"}:
            findings.violations.append(f"message {message} was delivered, but is {status}")
    for message, _, _, repeats in rows:
        if (count := got[message]) - 1 > repeats:
            findings.doubled += count - 1 - repeats
            findings.violations.append(
                f"message {message} was delivered {count} times, the outbox counts {repeats} repetitions"
            )
    findings.violations += [
        f"message {message} was never enqueued" for message in got.keys() - {r[0] for r in rows}
    ]


def _exports(conn: Connection, acknowledged: Acknowledged, findings: Findings) -> None:
    """Each approved order reached the ERP once, and nothing else did."""
    approved = {
        row[0]
        for row in conn.execute(
            "select order_number from app.orders where status in ('APPROVED', 'SHIPPED', 'COMPLETED')"
            " and app.config_text('erp.kind') <> 'none'"
        )
    }
    taken = Counter(acknowledged.exported)
    findings.approved, findings.exported = len(approved), taken.total()
    findings.lost += sum(not taken[number] for number in approved)
    findings.doubled += taken.total() - len(taken)
    findings.violations += [
        f"order {number} reached the ERP {taken[number]} times" for number in approved if taken[number] != 1
    ]
    findings.violations += [
        f"order {number} reached the ERP, and was not approved" for number in taken.keys() - approved
    ]
