"""A day without Meta, then recovery: count lost, repeated and misplaced messages, and measure the pace.

python -m tests.whatsapp.outage --messages 20000 [--per-second 70] [--without-callbacks]
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psycopg

from hub.seed import load
from tests.support import test_cluster
from tests.support.gateway import running_gateway
from tests.support.waiting import wait_until
from tests.whatsapp import environment as environments
from tests.whatsapp.environment import Environment
from tests.whatsapp.fake_meta import FakeMeta

OUTAGE_SECONDS = 15
"""Real seconds of the outage; then the messages are made a day older."""

SINGLE_MESSAGES = 200
SINGLE_GAP_SECONDS = 0.1
METAS_MARGIN = 1.15
"""Meta allows 80 messages a second where the adapter sends 70."""


@dataclass
class Report:
    """The result of an outage."""

    enqueued: int
    lost: int
    """Messages that were not sent."""
    repeated: int
    """Messages that were sent more than once."""
    out_of_order: int
    """Messages that a later one of their recipient overtook."""
    refused: int
    """Requests that Meta refused, such as for its limits."""
    claimed_meanwhile: int
    """Requests to send during the outage."""
    per_second: float
    """Messages a second while the backlog drained."""
    median_ms: float
    """From commit to acceptance, of single messages in an idle outbox."""
    p95_ms: float


def pass_a_day(database_url: str) -> None:
    """Make all messages a day older."""
    columns = ("created_at", "next_attempt_at", "lease_until", "unknown_since")
    moved = ", ".join(f"{column} = {column} - interval '1 day'" for column in columns)
    with psycopg.connect(database_url) as conn:
        conn.execute(f"update app.messages set {moved} where status <> 'SENT'")


def out_of_order(database_url: str, meta: FakeMeta) -> int:
    """How many accepted messages were overtaken by a later one of their recipient."""
    with psycopg.connect(database_url) as conn:
        rows = conn.execute("select id::text, position from app.messages").fetchall()
    positions: dict[str, int] = dict(rows)
    last: dict[str, int] = defaultdict(lambda: -1)
    count = 0
    for message in meta.accepted:
        position = positions[message["biz_opaque_callback_data"]]
        count += position < last[message["to"]]
        last[message["to"]] = max(position, last[message["to"]])
    return count


def run(environment: Environment, messages: int, per_second: float, *, callbacks: bool) -> Report:
    """Enqueue messages while Meta is away for a day, let the adapter recover, then send single messages."""
    meta = environment.meta
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        conn.execute("delete from app.messages")
    meta.callbacks = callbacks
    meta.per_second = int(per_second * METAS_MARGIN)
    environment.extra |= {"HUB_WHATSAPP_PER_SECOND": str(per_second)}
    meta.outage = 503
    enqueued = environment.enqueue(messages)
    environment.start()
    environment.wait_up()
    time.sleep(OUTAGE_SECONDS)
    meanwhile = meta.requests
    pass_a_day(environment.gateway.database_url)
    meta.outage = 0
    wait_until(lambda: len(meta.accepted) >= messages, 120 + messages / 20, interval=0.1)
    at = sorted(meta.accepted_at.values())
    skipped = len(at) // 20  # the first messages are tried one by one
    pace = (len(at) - skipped - 1) / (at[-1] - at[skipped])
    wait_until(lambda: set(environment.statuses()) <= {"SENT", "DELIVERED", "READ"}, 120, interval=0.2)
    deliveries = meta.deliveries()
    overtaken = out_of_order(environment.gateway.database_url, meta)
    took = _single_messages(environment)
    return Report(
        enqueued=len(enqueued),
        lost=len(enqueued - set(deliveries)),
        repeated=sum(1 for times in deliveries.values() if times > 1),
        out_of_order=overtaken,
        refused=meta.requests - meanwhile - len(meta.accepted),
        claimed_meanwhile=meanwhile,
        per_second=round(pace, 1),
        median_ms=round(statistics.median(took) * 1000, 1),
        p95_ms=round(statistics.quantiles(took, n=20)[-1] * 1000, 1),
    )


def _single_messages(environment: Environment) -> list[float]:
    """Seconds from the commit of single messages, one after another, to their acceptance."""
    committed: dict[str, float] = {}
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        partners = conn.execute("select id from app.partners order by id").fetchall()
        for n in range(SINGLE_MESSAGES):
            variables = '{"order_number": "ORD-261123-000001", "status_text": "selesai"}'
            [[message_id]] = conn.execute(
                "select app.enqueue_message('order_status', 'PARTNER', %s, null, %s::jsonb)::text",
                [partners[n % len(partners)][0], variables],
            ).fetchall()
            committed[message_id] = time.time()
            time.sleep(SINGLE_GAP_SECONDS)
    accepted = environment.meta.accepted_at
    wait_until(lambda: set(committed) <= set(accepted), 60)
    return [accepted[message_id] - at for message_id, at in committed.items()]


def main() -> None:
    """Run the outage on a database of its own and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.whatsapp.outage",
        description="Take Meta away for a day, let the adapter recover and measure its pace.",
    )
    parser.add_argument("--messages", type=int, default=20000, help="waiting messages (default: 20000)")
    parser.add_argument("--per-second", type=float, default=70, help="the adapter's limit (default: 70)")
    parser.add_argument("--without-callbacks", action="store_true", help="lose all of Meta's callbacks")
    options = parser.parse_args()
    with (
        test_cluster.running_cluster() as cluster,
        test_cluster.scratch_database(
            cluster, "outage", template=test_cluster.ensure_template(cluster)
        ) as database,
        running_gateway(cluster, database) as gateway,
        tempfile.TemporaryDirectory() as folder,
    ):
        load(gateway.database_url)
        with environments.running(gateway, Path(folder)) as environment:
            callbacks = not options.without_callbacks
            print(run(environment, options.messages, options.per_second, callbacks=callbacks))


if __name__ == "__main__":
    main()
