"""Crash test: kill the adapter again and again while it sends, and count lost and repeated messages.

python -m tests.whatsapp.crash_test --messages 5000 --kills 50 [--without-callbacks] [--outages]
"""

import argparse
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from hub.seed import load
from tests.support.gateway import scratch_gateway
from tests.support.waiting import wait_until
from tests.whatsapp import environment as environments
from tests.whatsapp.environment import Environment


@dataclass
class Report:
    """The result of a crash test."""

    enqueued: int
    delivered: int
    """Messages that reached their recipients."""
    repeated: int
    """Messages that reached their recipients more than once."""
    repeats: int
    """Attempts that the outbox counts as possible repetitions."""
    surplus: int
    """Deliveries beyond the first of each message."""
    uncounted: int
    """Messages that were delivered more often than the outbox counts."""
    kills: int
    outages: int
    """How many of the kills happened while Meta was away."""
    seconds: float


def run(
    environment: Environment,
    messages: int,
    kills: int,
    *,
    callbacks: bool,
    outages: bool = False,
    seed: int = 1,
) -> Report:
    """Enqueue messages, send them and kill the adapter at random moments; returns when all are settled.

    With `outages`, Meta is away at each fifth kill, before and after it.
    """
    chance = random.Random(seed)  # noqa: S311
    with psycopg.connect(environment.gateway.database_url, autocommit=True) as conn:
        conn.execute("delete from app.messages")
        # Callbacks must arrive between two kills: after a shorter wait their messages would be sent again.
        wait = 30 if callbacks else 1
        conn.execute("select app.set_config_value('outbox.unknown_wait_seconds', %s::jsonb)", [str(wait)])
        conn.execute("select app.set_config_value('outbox.max_attempts', '100')")
    environment.meta.callbacks = callbacks
    environment.extra |= {"HUB_WHATSAPP_LEASE_SECONDS": "2"}
    enqueued = environment.enqueue(messages)
    began = time.monotonic()
    environment.start()
    for killed in range(kills):
        share = messages * (killed + 1) // (kills + 1)
        wait_until(lambda share=share: len(environment.meta.accepted) >= share, 120, interval=0.02)  # type: ignore[misc]
        away = outages and killed % 5 == 0
        if away:
            environment.meta.outage = chance.choice([502, 503])
        time.sleep(chance.uniform(0, 1 if away else 0.05))
        environment.kill()
        environment.start()
        if away:
            time.sleep(chance.uniform(0, 3))
            environment.meta.outage = 0
    wait_until(lambda: _is_settled(environment), 120 + messages / 10, interval=0.02)
    deliveries = environment.meta.deliveries()
    repeats = environment.repeats()
    surplus = {message: times - 1 for message, times in deliveries.items() if times > 1}
    return Report(
        enqueued=len(enqueued),
        delivered=len(enqueued & set(deliveries)),
        repeated=len(surplus),
        repeats=sum(repeats.values()),
        surplus=sum(surplus.values()),
        uncounted=sum(1 for message, more in surplus.items() if more > repeats[message]),
        kills=kills,
        outages=(kills + 4) // 5 if outages else 0,
        seconds=time.monotonic() - began,
    )


def _is_settled(environment: Environment) -> bool:
    return not set(environment.statuses()) & {"PENDING", "CLAIMED", "UNKNOWN"}


def main() -> None:
    """Run the crash test on a database of its own and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.whatsapp.crash_test",
        description="Kill the WhatsApp adapter while it sends; count lost and repeated messages.",
    )
    parser.add_argument("--messages", type=int, default=5000, help="messages to send (default: 5000)")
    parser.add_argument("--kills", type=int, default=50, help="kills of the adapter (default: 50)")
    parser.add_argument("--without-callbacks", action="store_true", help="lose all of Meta's callbacks")
    parser.add_argument("--outages", action="store_true", help="take Meta away at each fifth kill")
    options = parser.parse_args()
    with (
        scratch_gateway("crash") as (_, gateway),
        tempfile.TemporaryDirectory() as folder,
    ):
        load(gateway.database_url)
        with environments.running(gateway, Path(folder)) as environment:
            report = run(
                environment,
                options.messages,
                options.kills,
                callbacks=not options.without_callbacks,
                outages=options.outages,
            )
            print(report)


if __name__ == "__main__":
    main()
