"""After the torture: is everything there that somebody was told of, exactly once?"""

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from devtools.crash_test.environment import Connection
from devtools.crash_test.load import Told, run_jobs
from hub.check import check


@dataclass
class Findings:
    """What was found; `wrong` is empty when all is well."""

    orders: int = 0
    orders_told: int = 0
    payments: int = 0
    payments_told: int = 0
    messages: int = 0
    deliveries: int = 0
    delivered_again: int = 0
    wrong: list[str] = field(default_factory=list)


def drain(conn: Connection, seconds: float) -> bool:
    """Run the jobs until nothing is owed; False once what is owed has not got less for so many seconds."""
    least, until = sys.maxsize, time.monotonic() + seconds
    while time.monotonic() < until:
        run_jobs(conn)
        owed = conn.execute(
            "select (select count(*) from app.messages where status in ('PENDING', 'CLAIMED', 'UNKNOWN'))"
            " + (select count(*) from app.point_queue) + (select count(*) from app.audit_buffer)"
        ).fetchone()
        if owed == (0,):
            return True
        # A reader's messages go one after the other, so a long backlog of few readers takes its time.
        if owed and owed[0] < least:
            least, until = owed[0], time.monotonic() + seconds
        time.sleep(0.2)
    return False


def verify(conn: Connection, told: Told, delivered: Path) -> Findings:
    """Compare what was told with what stands in the database and with what the provider got."""
    findings = Findings(orders_told=len(told.orders), payments_told=len(told.payments))
    _orders(conn, told, findings)
    _payments(conn, told, findings)
    _messages(conn, delivered, findings)
    for broken in check(conn):
        if broken.rows:
            first = broken.offending[0]["details"]
            findings.wrong.append(f"invariant {broken.invariant}: {broken.rows} rows, e.g. {first}")
    findings.wrong += [f"unexpected: {surprise}" for surprise in told.surprises[:20]]
    return findings


def _orders(conn: Connection, told: Told, findings: Findings) -> None:
    rows = conn.execute(
        "select partner_id::text, idempotency_key, id::text, grand_total, status::text from app.orders"
    ).fetchall()
    findings.orders = len(rows)
    by_key: dict[tuple[str, str], list[tuple[str, Decimal]]] = {}
    for partner, key, order, total, _ in rows:
        by_key.setdefault((partner, key), []).append((order, total))
    for order in told.orders:
        found = by_key.get((order.partner, order.key), [])
        if found != [(order.id, order.grand_total)]:
            findings.wrong.append(f"order {order.id} of {order.grand_total} was told, there is {found}")
    doubled = [key for key, found in by_key.items() if len(found) > 1]
    findings.wrong += [f"key {key} made {len(by_key[key])} orders" for key in doubled]
    findings.wrong += [f"order under {key} was never asked for" for key in by_key.keys() - set(told.asked)]
    alive = {order for _, _, order, _, status in rows if status in {"APPROVED", "SHIPPED", "COMPLETED"}}
    findings.wrong += [f"order {order} was told APPROVED and is not" for order in set(told.approved) - alive]


def _payments(conn: Connection, told: Told, findings: Findings) -> None:
    rows = conn.execute(
        "select invoice_id::text, reference_number, amount from app.invoice_payments"
    ).fetchall()
    findings.payments = len(rows)
    booked = Counter(rows)
    for payment in told.payments:
        count = booked[(payment.invoice, payment.reference, payment.amount)]
        if count != 1:
            findings.wrong.append(
                f"payment {payment.reference} of {payment.amount} was told, booked {count} times"
            )


def _messages(conn: Connection, delivered: Path, findings: Findings) -> None:
    """Each message owed reached the provider; more than once is allowed, and counted."""
    rows = conn.execute("select id::text, status from app.messages").fetchall()
    findings.messages = len(rows)
    lines = delivered.read_text().splitlines() if delivered.exists() else []
    got = Counter(json.loads(line)["id"] for line in lines)
    findings.deliveries = got.total()
    findings.delivered_again = got.total() - len(got)
    for message, status in rows:
        if not got[message]:
            findings.wrong.append(f"message {message} ({status}) was never delivered")
        elif status not in {"SENT", "DELIVERED", "READ"}:
            findings.wrong.append(f"message {message} was delivered, but is {status}")
    findings.wrong += [
        f"message {message} is owed to no one" for message in got.keys() - {r[0] for r in rows}
    ]
