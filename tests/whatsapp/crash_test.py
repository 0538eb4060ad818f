"""Killing the adapter again and again while it sends.

python -m tests.whatsapp.crash_test --messages 5000 --kills 50 [--without-callbacks]
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from hub import paths, settings
from hub.seed import load
from hub.stack import gateway as gateways
from tests.support import test_cluster
from tests.support.client import RunningGateway
from tests.whatsapp import environment
from tests.whatsapp.environment import House


@dataclass
class Toll:
    """What came of it."""

    owed: int
    seen: int
    twice: int
    """Messages that reached their readers more than once."""
    repeats: int
    """What the outbox counts as sent again though it may have arrived."""
    surplus: int
    """Arrivals beyond the first of each message."""
    not_counted: int
    """Messages that arrived more often than the outbox knows of."""
    kills: int
    seconds: float


def run(house: House, messages: int, kills: int, *, callbacks: bool, seed: int = 1) -> Toll:
    """Owe, send, kill at random moments; returns when every message has been seen and settled."""
    chance = random.Random(seed)  # noqa: S311
    with psycopg.connect(house.gateway.database_url, autocommit=True) as conn:
        conn.execute("delete from app.messages")
        # Callbacks have to get through between two kills: too short a wait sends again what they settle.
        wait = 30 if callbacks else 1
        conn.execute("select app.set_config_value('outbox.unknown_wait_seconds', %s::jsonb)", [str(wait)])
        conn.execute("select app.set_config_value('outbox.max_attempts', '100')")
    house.meta.callbacks = callbacks
    house.extra |= {"HUB_WHATSAPP_LEASE_SECONDS": "2"}
    owed = house.owe(messages)
    began = time.monotonic()
    killed = 0
    house.start()
    while killed < kills:
        share = messages * (killed + 1) // (kills + 1)
        _until(lambda enough=share: len(house.meta.seen) >= enough, 120)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.05))
        house.kill()
        killed += 1
        house.start()
    _until(lambda: _settled(house), 120 + messages / 10)
    readers = house.meta.readers()
    with psycopg.connect(house.gateway.database_url) as conn:
        rows = conn.execute("select id::text, repeats from app.messages").fetchall()
    repeats: dict[str, int] = dict(rows)
    surplus = {message: times - 1 for message, times in readers.items() if times > 1}
    return Toll(
        owed=len(owed),
        seen=len(owed & set(readers)),
        twice=len(surplus),
        repeats=sum(repeats.values()),
        surplus=sum(surplus.values()),
        not_counted=sum(1 for message, more in surplus.items() if more > repeats[message]),
        kills=killed,
        seconds=time.monotonic() - began,
    )


def _settled(house: House) -> bool:
    return not set(house.statuses()) & {"PENDING", "CLAIMED", "UNKNOWN"}


def _until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def main() -> None:
    """Run it on a database of its own and print the toll."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--without-callbacks", action="store_true")
    asked = parser.parse_args()
    choice = gateways.choose(settings.read().gateway, paths.root() / ".cache" / "postgrest")
    with test_cluster.running_cluster() as cluster, test_cluster.scratch_folder() as folder:
        template = test_cluster.ensure_template(cluster)
        name = test_cluster.fresh_name("killing")
        with psycopg.connect(cluster.url(), autocommit=True) as conn:
            conn.execute(f'create database "{name}" template "{template}"')
        load(cluster.url(name))
        url = cluster.url(name, "authenticator", test_cluster.AUTHENTICATOR_PASSWORD)
        ports = test_cluster.free_port(28000), test_cluster.free_port(29000)
        config = gateways.GatewayConfig(url, url, test_cluster.JWT_SECRET, *ports, pooled=False)
        file, log = folder / "gateway.conf", folder / "gateway.log"
        config.write(file, choice.kind, gateways.account_for(choice))
        process = gateways.start(choice, file, log)
        try:
            base = f"http://{cluster.host}:{ports[0]}"
            gateways.wait_ready(base, log, lambda: gateways.check_running(process, log))
            gateway = RunningGateway(base, cluster.url(name), test_cluster.JWT_SECRET, choice.kind)
            with tempfile.TemporaryDirectory() as kept, environment.running(gateway, Path(kept)) as house:
                print(run(house, asked.messages, asked.kills, callbacks=not asked.without_callbacks))
        finally:
            process.terminate()
            process.wait(10)
            with psycopg.connect(cluster.url(), autocommit=True) as conn:
                conn.execute(f'drop database "{name}" with (force)')


if __name__ == "__main__":
    main()
