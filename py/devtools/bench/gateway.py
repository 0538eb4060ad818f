"""Orders and lists over HTTP, beside the same calls in pgbench, which need no gateway; wrk sends them."""

import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.common.tokens import mint
from devtools.bench import pgbench
from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError
from devtools.bench.pgbench import Round
from devtools.bench.results import Row
from hub import paths, settings
from hub.cluster import new_password
from hub.console import say
from hub.ports import HOST, next_free
from hub.stack import gateway as gateways

CLIENTS = (1, 4, 16)
CALLS = {"submit_order": "submit_order_guarded", "newest_orders": "newest_orders"}
"""By name of the request, the script of pgbench beside which it is measured."""

SECONDS = 10

_PARTNERS = 1000
_SCRIPT = Path(__file__).with_name("http") / "gateway.lua"
_FIRST_PORT = 28150
_GRACE_SECONDS = 60

Tick = Callable[[str], None]


def measure(environment: Environment, repetitions: int, tick: Tick, seconds: float = SECONDS) -> list[Row]:
    """Measure orders of five lines and lists of 20 orders, each as role partner with a session.

    The gateway is PostgREST where it is available, otherwise the stand-in. Raises BenchError without wrk, for
    an answer that is no success, and for an order that was acknowledged but not stored.
    """
    _wrk()
    secret = new_password()
    with scratch_folder() as folder, serving(environment, folder, secret) as url:
        write_tokens(environment, folder, secret)
        for clients in (1, max(CLIENTS)):
            load(url, folder, "submit_order", clients, 2)
        environment.settle(analyze=True)
        rows = []
        for name, script in CALLS.items():
            for clients in CLIENTS:
                row = Row(f"gateway_{name}", clients)
                for _ in range(repetitions):
                    environment.settle()
                    floor = pgbench.run(script, environment.hub_login, clients=clients, seconds=seconds)
                    environment.settle()
                    row.add(floor, _checked(environment, url, folder, name, clients, seconds))
                    tick(f"gateway_{name}, {clients} clients: {row.ours[-1].tps:,.0f}/s")
                rows.append(row)
        return rows


def load(url: str, folder: Path, name: str, clients: int, seconds: float) -> Round:
    """Send requests for so many seconds. `folder` holds the partners' tokens in `tokens.txt`, one a line.

    Raises BenchError if one of them fails.
    """
    command = [
        *(_wrk(), "--threads=1", f"--connections={clients}", f"--duration={max(1, round(seconds))}s"),
        *("--timeout=30s", f"--script={_SCRIPT}", url),
        *("--", name, str(folder / "tokens.txt"), str(random.getrandbits(31))),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + _GRACE_SECONDS
        )
        figures = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        raise BenchError("a round of wrk failed", hint=str(error)) from None
    if figures["errors"] or not figures["requests"]:
        raise BenchError(f"{figures['errors']} of {figures['requests']} requests failed")
    return Round(figures["requests"] / figures["seconds"], figures["p50_ms"], figures["p95_ms"])


def write_tokens(environment: Environment, folder: Path, secret: str) -> None:
    """Open a session of each partner and write its token."""
    with environment.admin(environment.hub) as conn:
        sessions = conn.execute(
            "insert into auth.sessions (subject_id, role, expires_at)"
            " select bench.partner_id(i), 'partner', now() + interval '1 day'"
            " from generate_series(1, %s) as i returning subject_id::text, id::text",
            [_PARTNERS],
        ).fetchall()
    tokens = [mint(secret, "partner", partner, minutes=600, sid=session) for partner, session in sessions]
    (folder / "tokens.txt").write_text("".join(f"{token}\n" for token in tokens))


def available() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that the gateway's account can enter."""
    folder = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving(environment: Environment, folder: Path, secret: str) -> Iterator[str]:
    """Start the gateway on the hub's database with the stack's configuration; returns its URL.

    `secret` signs the tokens.
    """
    choice = gateways.choose(settings.read().gateway, paths.root() / ".cache" / "postgrest")
    say(choice.banner)
    port = next_free(_FIRST_PORT)
    config = gateways.GatewayConfig(environment.hub_login, secret, port, next_free(port + 1))
    file, log = folder / "gateway.conf", folder / "gateway.log"
    config.write(file, gateways.account_for(choice))
    process = gateways.start(choice, file, log)
    try:
        url = f"http://{HOST}:{port}"
        gateways.wait_ready(url, log, lambda: gateways.check_running(process, log))
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _checked(
    environment: Environment, url: str, folder: Path, name: str, clients: int, seconds: float
) -> Round:
    """One round; raises BenchError if fewer orders were stored than were acknowledged."""
    before = _orders(environment)
    done = load(url, folder, name, clients, seconds)
    stored = _orders(environment) - before
    if name == "submit_order" and stored < done.tps * seconds * 0.99 - clients:
        raise BenchError(f"only {stored} orders were stored")
    return done


def _orders(environment: Environment) -> int:
    with environment.admin(environment.hub) as conn:
        return int(conn.execute("select count(*) from app.orders").fetchall()[0][0])


def _wrk() -> str:
    """Path of wrk. Raises BenchError if it is not installed."""
    found = shutil.which("wrk")
    if not found:
        raise BenchError("wrk is not installed; it sends the requests", hint="apt-get install wrk")
    return found
