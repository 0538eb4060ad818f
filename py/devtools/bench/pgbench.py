"""Run one round of pgbench and read its result."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from devtools.bench.errors import BenchError
from hub import postgres

SQL = Path(__file__).with_name("sql")
"""The SQL of both sides and the pgbench scripts."""

_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)
_SAMPLED = 0.25  # log every fourth latency: enough for a percentile, at little cost
_GRACE_SECONDS = 60
_SLOWEST = 20
"""Transactions a second below which a round is given up."""


@dataclass(frozen=True)
class Round:
    """The result of one round: transactions a second, and latencies."""

    tps: float
    p50_ms: float
    p95_ms: float
    slowest_ms: float = 0.0


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of the values lies; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def run(
    script: str,
    url: str,
    *,
    clients: int,
    seconds: float = 0,
    transactions: int = 0,
    protocol: Literal["simple", "extended", "prepared"] = "prepared",
    variables: Mapping[str, str] | None = None,
) -> Round:
    """Run sql/<script>.pgbench for so many seconds, or so many transactions a client.

    Raises BenchError if a transaction fails.
    """
    folder = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    try:
        longest = seconds + clients * transactions / _SLOWEST + _GRACE_SECONDS
        command = _command(script, clients, seconds, transactions)
        command += [f"--protocol={protocol}", *(f"--define={k}={v}" for k, v in (variables or {}).items())]
        done = _finish(command, _environment(url), folder, longest)
        return Round(done, *_latencies(folder))
    finally:
        shutil.rmtree(folder)


def _command(script: str, clients: int, seconds: float, transactions: int) -> list[str]:
    length = [f"--transactions={transactions}"] if transactions else [f"--time={max(1, round(seconds))}"]
    return [
        str(postgres.program("pgbench")),
        "--no-vacuum",
        f"--client={clients}",
        f"--jobs={min(clients, 2)}",
        f"--file={SQL / script}.pgbench",
        "--log",
        "--log-prefix=latency",
        f"--sampling-rate={_SAMPLED}",
        *length,
    ]


def _environment(url: str) -> dict[str, str]:
    """The connection as environment variables of libpq: other users can read a command line."""
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
        "PGAPPNAME": "hub dev bench",
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
    }


def _finish(command: list[str], environment: dict[str, str], folder: Path, longest: float) -> float:
    with _child(command, environment, folder) as process:
        try:
            out, err = process.communicate(timeout=longest)
        except subprocess.TimeoutExpired:
            raise BenchError(f"pgbench did not end within {longest:.0f} seconds") from None
    tps, failed = _TPS.search(out), _FAILED.search(out)
    if process.returncode or not tps or (failed and int(failed[1])):
        raise BenchError("a round of pgbench failed", hint=_first_errors(err or out))
    return float(tps[1])


@contextmanager
def _child(
    command: list[str], environment: dict[str, str], folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _first_errors(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line.lower() or "DETAIL" in line]
    return "\n".join(lines[:5] or text.splitlines()[:5])


def _latencies(folder: Path) -> tuple[float, float, float]:
    """Median, 95th percentile and longest, in milliseconds, from pgbench's log of sampled transactions."""
    times = [
        int(line.split()[2]) / 1000
        for file in folder.glob("latency.*")
        for line in file.read_text().splitlines()
    ]
    return percentile(times, 0.5), percentile(times, 0.95), percentile(times, 1)
