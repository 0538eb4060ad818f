"""Crash test: kill processes with SIGKILL under load and verify that no acknowledged write is lost."""

import json
import random
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from devtools.crash_test.environment import House
from devtools.crash_test.load import Load, Told, settle
from devtools.crash_test.verify import Findings, drain, verify
from hub import paths
from hub.console import err, say
from hub.errors import UserError
from hub.osuser import server_account

KINDS = ("postmaster", "gateway", "messenger", "backend", "pooler")
"""Who is killed in turn: PostgreSQL, whole or one process of it, and all that stands before and behind it."""

_PARTNERS = 12
_PROGRESS_SECONDS = 30
_DRAIN_SECONDS = 180


@dataclass
class Result:
    """What a run did and found."""

    seed: int
    kills: dict[str, int] = field(default_factory=dict)
    recovery_seconds: dict[str, float] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    findings: Findings = field(default_factory=Findings)


def torture(
    folder: Path, *, kills: int, seed: int, seconds: float, tell: Callable[[str], None] = lambda _: None
) -> Result:
    """Kill so many times, for at most so many seconds, and look whether all is well.

    Everything runs in `folder`, on loopback. Stops by itself; only our own children are killed.
    """
    started = time.monotonic()
    dice = random.Random(seed)  # noqa: S311  repeatable, not secret
    house, told = House(folder), Told()
    result = Result(seed)
    count: Counter[str] = Counter()
    took: dict[str, list[float]] = {}
    try:
        house.build()
        with psycopg.connect(house.url, autocommit=True) as conn:
            people = settle(conn, _PARTNERS)
        load = Load(house, people, told, seed)
        load.start()
        try:
            for number in range(kills):
                if time.monotonic() - started > seconds:
                    tell(f"out of time after {number} kills")
                    break
                _await_progress(told, dice.uniform(0.1, 0.6))
                kind = KINDS[number % len(KINDS)]
                took.setdefault(kind, []).append(_kill(house, kind, dice))
                count[kind] += 1
                tell(f"{kind} killed")
        finally:
            load.stop(20)
        with psycopg.connect(house.url, autocommit=True) as conn:
            if not drain(conn, _DRAIN_SECONDS):
                told.surprises.append(
                    f"something is owed, and none of it was settled for {_DRAIN_SECONDS} seconds"
                )
            result.findings = verify(conn, told, house.delivered)
    finally:
        house.tear_down()
    result.kills, result.retries = dict(count), dict(told.retries)
    result.recovery_seconds = {kind: round(sum(all_) / len(all_), 2) for kind, all_ in took.items()}
    result.seconds = round(time.monotonic() - started, 1)
    return result


def _kill(house: House, kind: str, dice: random.Random) -> float:
    if kind == "backend":
        return house.kill_backend(dice)
    killed: float = getattr(house, f"kill_{kind}")()
    return killed


def _await_progress(told: Told, pause: float) -> None:
    """Every kill hits a load under way: somebody was told of an order since the last one."""
    before = len(told.orders)
    until = time.monotonic() + _PROGRESS_SECONDS
    time.sleep(pause)
    while len(told.orders) == before:
        if time.monotonic() > until:
            raise UserError("nobody gets an order through any more", hint="; ".join(told.surprises[:3]))
        time.sleep(0.02)


def run(*, kills: int, seed: int | None, seconds: float, json_file: Path | None) -> None:
    """Torture, and print what came of it; raises UserError when a promise was broken."""
    # Told to stop, we stop what we started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    folder = paths.make_data_dir()[0] / f"torture-{seed}-{secrets.token_hex(3)}"
    folder.mkdir(mode=0o755)
    server_account().own(folder)
    say(
        f"seed {seed}: {kills} kills of PostgreSQL, PgBouncer, gateway and messenger, {seconds:.0f} s at most"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        bar = progress.add_task("torture", total=kills)
        result = torture(
            folder,
            kills=kills,
            seed=seed,
            seconds=seconds,
            tell=lambda what: progress.update(bar, advance=1, description=what),
        )
    if json_file:
        json_file.write_text(json.dumps(asdict(result), indent=1, default=str) + "\n")
    for line in lines(result):
        say(line)
    if result.findings.wrong:
        raise UserError(f"{len(result.findings.wrong)} promises broken (seed {seed})", hint=f"see {folder}")
    shutil.rmtree(folder)


def lines(result: Result) -> list[str]:
    """The result in words."""
    found = result.findings
    killed = ", ".join(f"{count} {kind}" for kind, count in result.kills.items())
    back = ", ".join(f"{kind} {seconds} s" for kind, seconds in result.recovery_seconds.items())
    return [
        f"killed {sum(result.kills.values())} times: {killed}; {result.seconds:.0f} s in all",
        f"back after, on average: {back}",
        f"orders: {found.orders_told} told of, {found.orders} there",
        f"payments: {found.payments_told} told of, {found.payments} there",
        f"messages: {found.messages} owed, {found.deliveries} delivered, {found.delivered_again} again",
        f"asked again after a lost answer: {result.retries}",
        *(f"WRONG: {what}" for what in found.wrong[:50]),
    ]
