"""The HTTP gateway: PostgREST where it is available, otherwise the stand-in, with the same configuration."""

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from tenacity import RetryError, retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from adapters.common.certificates import needs_certificates
from hub.cluster import tail
from hub.errors import UserError
from hub.osuser import Account, server_account
from hub.ports import HOST
from hub.stack import postgrest

READY_SECONDS = 30

POOL_SIZE = 20
"""The largest number of the gateway's connections to PostgreSQL, beside one that listens."""

MAX_ROWS = 10_000
"""The most rows of one answer; further ones are read by pages."""

WAIT_SECONDS = 10
"""How long a request waits for one of them before the answer 504 PGRST003."""

# At "error", each answer 504 of PostgREST 14 waits for its line in the log, and one is written every five
# seconds: the others hang (auto-update 0.2.7, Control.Debounce). Its metrics count what the log would show.
_LOG_LEVEL = "crit"

_IDLE_SECONDS = 600  # A new connection plans every query again, so a pause should not close the pool.


@dataclass(frozen=True)
class Gateway:
    """A gateway program; `command` takes the configuration file as its last argument."""

    kind: Literal["postgrest", "standin"]
    command: tuple[str, ...]
    banner: str


@dataclass(frozen=True)
class GatewayConfig:
    """The configuration of either gateway. `db_uri` is PostgreSQL itself: the gateway has its own pool.

    Behind a PgBouncer, `channel` is off, and `prepared` as well unless it keeps prepared statements.
    """

    db_uri: str
    jwt_secret: str
    port: int
    admin_port: int
    pre_request: str = "auth.request_guard"
    max_lifetime: int = 1800
    """Seconds after which a connection is replaced; PostgREST's default."""
    prepared: bool = True
    channel: bool = True
    wait_seconds: int = WAIT_SECONDS
    """How long a request waits for a connection."""

    def text(self) -> str:
        """The configuration file in PostgREST's form."""
        values: dict[str, str | int | bool] = {
            "db-uri": self.db_uri,
            "db-schemas": "api",
            "db-anon-role": "anon",
            "db-pre-request": self.pre_request,
            "db-prepared-statements": self.prepared,
            "db-pool": POOL_SIZE,
            "db-pool-acquisition-timeout": self.wait_seconds,
            "db-pool-max-idletime": _IDLE_SECONDS,
            "db-pool-max-lifetime": self.max_lifetime,
            "db-channel-enabled": self.channel,
            "db-max-rows": MAX_ROWS,
            "jwt-secret": self.jwt_secret,
            "server-host": HOST,
            "server-port": self.port,
            "admin-server-port": self.admin_port,
            "openapi-mode": "follow-privileges",
            # Its value is sent back; the request guard keeps it for the trail and for messages.
            "server-trace-header": "X-Request-Id",
            "log-level": _LOG_LEVEL,
        }
        return "".join(f"{name} = {_literal(value)}\n" for name, value in values.items())

    def write(self, path: Path, account: Account) -> bool:
        """Write the file, readable by the gateway only, as it holds secrets; returns whether it changed."""
        text = self.text()
        if path.exists() and path.read_text() == text:
            return False
        account.write_private(path, text)
        return True


def _literal(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def choose(preference: str, cache: Path) -> Gateway:
    """Choose the gateway by HUB_GATEWAY: "auto", "postgrest" or "standin". `cache` keeps downloads.

    Raises UserError for "postgrest" if PostgREST is not available.
    """
    if preference != "standin":
        found, why_not = postgrest.find(cache, insist=preference == "postgrest")
        if found:
            return Gateway(
                "postgrest", (str(found.path),), f"gateway: PostgREST {found.version} ({found.path})"
            )
        if preference == "postgrest":
            raise UserError(
                f"PostgREST is not available: {why_not}", hint="set POSTGREST_BIN, or HUB_GATEWAY=standin"
            )
    else:
        why_not = "HUB_GATEWAY=standin"
    banner = f"gateway: STAND-IN for PostgREST, not for production ({why_not})"
    return Gateway("standin", (sys.executable, "-m", "standin"), banner)


@functools.cache
def account_for(gateway: Gateway) -> Account:
    """The account that the gateway runs under: that of servers if it can run the program, otherwise our own.

    The Python of root may be below /root, which other accounts cannot enter.
    """
    account = server_account()
    probe = ["--version"] if gateway.kind == "postgrest" else ["-c", "import hub"]
    try:
        can_run = not account.switches or account.run([gateway.command[0], *probe]).returncode == 0
    except OSError:
        can_run = False
    return account if can_run else Account("root", 0, 0, "/root")


def start(gateway: Gateway, config: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a gateway as a child process; the gateway of a stack runs under supervisord."""
    account = account_for(gateway)
    with log.open("ab") as out:
        return subprocess.Popen(
            [*gateway.command, str(config)],
            cwd="/",
            env=account.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            **account.popen_arguments(),
        )


def check_running(process: subprocess.Popen[bytes], log: Path, what: str = "gateway") -> None:
    """Raise UserError if a gateway, or another server, that is a child process has ended."""
    if process.poll() is not None:
        code = process.returncode
        raise UserError(f"the {what} ended with code {code}", hint=f"end of {log}:\n{tail(log)}")


def wait_ready(
    url: str, log: Path, check: Callable[[], None], what: str = "gateway", seconds: float = READY_SECONDS
) -> None:
    """Wait until the gateway, or another server, answers with a status below 500.

    `check` raises if it has ended. Raises UserError with the end of the log after `seconds`.
    """
    client = httpx.Client(timeout=5, verify=needs_certificates(url), trust_env=False)

    @retry(
        retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(lambda status: status >= 500),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.1),
    )
    def status() -> int:
        check()
        return client.get(url).status_code

    try:
        with client:
            status()
    except RetryError:
        raise UserError(
            f"the {what} does not answer at {url} after {seconds:.0f} seconds",
            hint=f"end of {log}:\n{tail(log)}",
        ) from None
