"""A day without Meta, then recovery: count lost, repeated and misplaced messages, and measure the pace.

python -m tests.whatsapp.outage --messages 20000 [--mails 2000] [--kills 50] [--without-callbacks]
"""

import argparse
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from hub.seed import load
from tests.support.gateway import scratch_gateway
from tests.support.waiting import wait_until
from tests.whatsapp import environment as environments
from tests.whatsapp.environment import Environment

SINGLE_GAP_SECONDS = 0.1
METAS_MARGIN = 1.15
"""Meta allows 80 messages a second where the adapter sends 70."""


@dataclass
class Report:
    """The result of an outage."""

    enqueued: int
    mails: int
    """E-mails to the same recipients."""
    mails_meanwhile: int
    """E-mails that were delivered before Meta came back."""
    kills: int
    """How often the adapter was killed, one half of the times during the outage."""
    lost: int
    """Messages and e-mails that were not sent."""
    repeated: int
    """Messages and e-mails that were sent more than once."""
    repeats: int
    """Attempts that the outbox counts as possible repetitions."""
    uncounted: int
    """Messages and e-mails that were sent more often than the outbox counts."""
    out_of_order: int
    """Messages and e-mails that a later one of their recipient and channel overtook."""
    limited: int
    """Requests that Meta refused for a rate limit."""
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


def out_of_order(database_url: str, sent: Sequence[str]) -> int:
    """How many of the sent messages, in this order, were overtaken by a later one of their recipient."""
    with psycopg.connect(database_url) as conn:
        rows = conn.execute("select id::text, position, recipient_id, channel::text from app.messages")
        lanes = {row[0]: (row[1], row[2:]) for row in rows}
    last: dict[tuple[str, ...], int] = defaultdict(lambda: -1)
    count = 0
    for message in sent:
        position, lane = lanes[message]
        count += position < last[lane]
        last[lane] = max(position, last[lane])
    return count


def run(
    environment: Environment,
    messages: int,
    per_second: float,
    *,
    callbacks: bool,
    mails: int = 0,
    kills: int = 0,
    seconds: float = 15,
    unknown_wait: int = 30,
    singles: int = 200,
    seed: int = 1,
) -> Report:
    """Enqueue messages while Meta is away for a day, let the adapter recover, then send single messages.

    E-mails to the same recipients must go on meanwhile. The adapter is killed at random moments, as often
    during the outage as during the recovery. `seconds` is the real time of the outage, after which the
    messages are made a day older; callbacks must arrive within `unknown_wait` seconds, or else their messages
    are sent again.
    """
    meta, chance = environment.meta, random.Random(seed)  # noqa: S311
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        conn.execute("delete from app.messages")
        if kills:
            wait = "select app.set_config_value('outbox.unknown_wait_seconds', %s::jsonb)"
            conn.execute(wait, [str(unknown_wait)])
            conn.execute("select app.set_config_value('outbox.max_attempts', '100')")
            environment.extra |= {"HUB_WHATSAPP_LEASE_SECONDS": "2" if unknown_wait < 30 else "5"}
    meta.callbacks = callbacks
    meta.per_second = int(per_second * METAS_MARGIN)
    environment.extra |= {"HUB_WHATSAPP_PER_SECOND": str(per_second)}
    meta.outage = 503
    enqueued = environment.enqueue(messages)
    enqueued_mails = environment.enqueue(mails, "EMAIL") if mails else set[str]()
    environment.start()
    environment.wait_up()
    for _ in range(kills - kills // 2):
        _kill(environment, chance)
    if not kills:
        time.sleep(seconds)
    wait_until(lambda: len(set(environment.mails())) >= mails - kills * 25, 120 + mails / 5, interval=0.2)
    mails_meanwhile, meanwhile = len(set(environment.mails())), meta.requests
    pass_a_day(environment.gateway.database_url)
    meta.outage = 0
    for killed in range(kills // 2):
        share = messages * (killed + 1) // (kills // 2 + 1)
        wait_until(lambda share=share: len(meta.accepted) >= share, 300, interval=0.02)  # type: ignore[misc]
        _kill(environment, chance)
    wait_until(lambda: len(set(meta.deliveries())) >= messages, 120 + messages / 5, interval=0.2)
    at = sorted(meta.accepted_at.values())
    skipped = len(at) // 20  # the first messages are tried one by one
    pace = (len(at) - skipped - 1) / (at[-1] - at[skipped])
    done = {"SENT", "DELIVERED", "READ"}
    wait_until(lambda: set(environment.statuses()) <= done, 180 + messages / 20, interval=0.2)
    deliveries = meta.deliveries() + Counter(environment.mails())
    repeats = environment.repeats()
    ordered = [message["biz_opaque_callback_data"] for message in meta.accepted] + environment.mails()
    overtaken = out_of_order(environment.gateway.database_url, ordered)
    took = _single_messages(environment, singles) if singles else [0.0, 0.0]
    return Report(
        enqueued=len(enqueued),
        mails=len(enqueued_mails),
        mails_meanwhile=mails_meanwhile,
        kills=kills,
        lost=len((enqueued | enqueued_mails) - set(deliveries)),
        repeated=sum(1 for times in deliveries.values() if times > 1),
        repeats=sum(repeats.values()),
        uncounted=sum(1 for message, times in deliveries.items() if times - 1 > repeats[message]),
        out_of_order=overtaken,
        limited=meta.limited,
        claimed_meanwhile=meanwhile,
        per_second=round(pace, 1),
        median_ms=round(statistics.median(took) * 1000, 1),
        p95_ms=round(statistics.quantiles(took, n=20)[-1] * 1000, 1),
    )


def _kill(environment: Environment, chance: random.Random) -> None:
    """Kill the adapter at a random moment, and start it again."""
    time.sleep(chance.uniform(0, 1.5))
    environment.kill()
    environment.start()
    environment.wait_up()


def _single_messages(environment: Environment, singles: int) -> list[float]:
    """Seconds from the commit of single messages, one after another, to their acceptance."""
    committed: dict[str, float] = {}
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        partners = conn.execute("select id from app.partners order by id").fetchall()
        for n in range(singles):
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
    parser.add_argument("--mails", type=int, default=0, help="e-mails to the same recipients (default: 0)")
    parser.add_argument("--kills", type=int, default=0, help="kills of the adapter (default: 0)")
    parser.add_argument("--without-callbacks", action="store_true", help="lose all of Meta's callbacks")
    options = parser.parse_args()
    with (
        scratch_gateway("outage") as (_, gateway),
        tempfile.TemporaryDirectory() as folder,
    ):
        load(gateway.database_url)
        with environments.running(gateway, Path(folder)) as environment:
            report = run(
                environment,
                options.messages,
                options.per_second,
                callbacks=not options.without_callbacks,
                mails=options.mails,
                kills=options.kills,
            )
            print(report)


if __name__ == "__main__":
    main()
