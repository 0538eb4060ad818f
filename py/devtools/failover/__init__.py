"""Failover drill: take the leader away under load, and verify that no acknowledged order is lost."""

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread

import psycopg

from devtools.crash_test.load import Acknowledged, under_load
from devtools.crash_test.verify import Findings, drain_and_verify
from devtools.failover.configs import Node
from devtools.failover.environment import Environment, missing_programs
from devtools.scratch import make_folder
from hub.console import out, say
from hub.errors import UserError

FAULTS = ("killed", "frozen", "switched over")
"""What happens to the leader, in turn."""

MAX_GAP_SECONDS = 30
"""Writes succeed again within this time."""

_PARTNERS = 12
_ORDERS = 20
"""A fault hits a running load: so many orders come before it, and after it."""
_PROGRESS_SECONDS = 60
_FROZEN_SECONDS = 35
_JOB_SECONDS = 100
_DRAIN_SECONDS = 120


@dataclass(frozen=True)
class Outcome:
    """What a fault did, in seconds.

    `gap`: without an acknowledged order; `rejoined`: until the old leader, back again, followed; `job`: until
    pg_cron ran a job at the new one.
    """

    fault: str
    gap: float
    rejoined: float
    job: float


@dataclass
class Report:
    """The result of a drill."""

    outcomes: list[Outcome] = field(default_factory=list)
    retries: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    findings: Findings = field(default_factory=Findings)

    @property
    def violations(self) -> list[str]:
        """What was lost, doubled, or took too long."""
        late = [
            f"{one.fault}: no order was acknowledged for {one.gap:.1f} seconds"
            for one in self.outcomes
            if one.gap > MAX_GAP_SECONDS
        ]
        return late + self.findings.violations


class Gaps(Thread):
    """Watches when orders are acknowledged; the longest pause since `begin`."""

    def __init__(self, acknowledged: Acknowledged) -> None:
        super().__init__(daemon=True)
        self._acknowledged = acknowledged
        self._over = Event()
        self._last = time.monotonic()
        self.longest = 0.0

    def run(self) -> None:
        """Look twenty times a second until `stop`."""
        seen = len(self._acknowledged.orders)
        while not self._over.wait(0.05):
            count, now = len(self._acknowledged.orders), time.monotonic()
            self.longest = max(self.longest, now - self._last)
            if count != seen:
                seen, self._last = count, now

    def begin(self) -> None:
        """Forget the pauses so far."""
        self._last, self.longest = time.monotonic(), 0.0

    def stop(self) -> None:
        """End the watch."""
        self._over.set()
        self.join()


def drill(folder: Path, *, faults: tuple[str, ...] = FAULTS, progress: Callable[[str], None]) -> Report:
    """Take the leader away under load, once for each fault, and verify what was acknowledged."""
    started = time.monotonic()
    environment, acknowledged, report = Environment(folder), Acknowledged(), Report()
    try:
        progress("starting etcd, Patroni, HAProxy, gateway and adapter ...")
        environment.build()
        with under_load(environment, acknowledged, partners=_PARTNERS, seed=1):
            gaps = Gaps(acknowledged)
            gaps.start()
            try:
                for fault in faults:
                    progress(f"the leader is {fault} ...")
                    acknowledged.await_orders(_ORDERS, _PROGRESS_SECONDS)
                    report.outcomes.append(_strike(environment, fault, acknowledged, gaps))
            finally:
                gaps.stop()
        progress("verifying ...")
        report.findings = drain_and_verify(environment, acknowledged, _DRAIN_SECONDS)
    finally:
        environment.tear_down()
    report.retries = dict(acknowledged.retries)
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _strike(environment: Environment, fault: str, acknowledged: Acknowledged, gaps: Gaps) -> Outcome:
    """One fault, and what it did."""
    leader = environment.leader()
    if leader is None:
        raise UserError("there is no leader")
    candidate = next(node for node in environment.nodes if node != leader)
    gaps.begin()
    started = time.monotonic()
    if fault == "killed":
        environment.kill(leader)
    elif fault == "frozen":
        environment.signal(leader, signal.SIGSTOP)
    else:
        environment.switch_over(leader, candidate)
    environment.await_leader(other_than=leader)
    acknowledged.await_orders(_ORDERS, _PROGRESS_SECONDS)
    gap = gaps.longest
    if fault == "frozen":
        time.sleep(max(0.0, _FROZEN_SECONDS - (time.monotonic() - started)))
        environment.signal(leader, signal.SIGCONT)
    elif fault == "killed":
        environment.start_node(leader)
    back = time.monotonic()
    environment.await_standby()
    rejoined = time.monotonic() - back
    return Outcome(
        fault, round(gap, 1), round(rejoined, 1), round(_await_job(environment, started, leader), 1)
    )


def _await_job(environment: Environment, started: float, former: Node) -> float:
    """Wait until pg_cron has run a job at the new leader; returns the seconds since the fault."""
    with psycopg.connect(environment.url, autocommit=True) as conn:
        ran = (
            "select count(*) from cron.job_run_details where status = 'succeeded'"
            " and start_time > (select max(backend_start) from pg_stat_activity"
            " where backend_type = 'pg_cron launcher')"
        )
        while conn.execute(ran).fetchone() == (0,):
            if time.monotonic() - started > _JOB_SECONDS + MAX_GAP_SECONDS:
                raise UserError(f"pg_cron runs no job since {former.name} is the leader no longer")
            time.sleep(0.5)
    return time.monotonic() - started


def run(*, json_file: Path | None) -> None:
    """Run the drill and print its report; raises UserError when something was lost or took too long."""
    if missing := missing_programs():
        raise UserError(
            f"not installed: {', '.join(missing)}", hint="./hub dev failover installs them where it can"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the child processes, too
    folder = make_folder("failover")
    with out.status("failover drill") as status:
        report = drill(folder, progress=status.update)
    if json_file:
        json_file.write_text(json.dumps(asdict(report), indent=1, default=str) + "\n")
    for line in lines(report):
        say(line)
    if report.violations:
        raise UserError(f"{len(report.violations)} violations found", hint=f"see {folder}")
    shutil.rmtree(folder)


def lines(report: Report) -> list[str]:
    """The report as lines of text."""
    found = report.findings
    return [
        *(
            f"leader {one.fault}: {one.gap} s without an order, follows {one.rejoined} s after it is back,"
            f" pg_cron ran a job after {one.job} s"
            for one in report.outcomes
        ),
        *found.lines(),
        f"retries after a lost answer: {report.retries}; {report.seconds:.0f} s in all",
        *(f"VIOLATION: {what}" for what in report.violations[:50]),
    ]
