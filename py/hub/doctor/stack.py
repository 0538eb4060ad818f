"""Checks of the stack: secrets, programs, adapters, backups."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
from pydantic import SecretStr

from hub import paths, settings
from hub.backup import erasures
from hub.backup.repository import Backup
from hub.doctor import database
from hub.doctor.findings import Finding
from hub.errors import UserError
from hub.ports import HOST
from hub.settings import Settings
from hub.stack.layout import Stack
from hub.stack.supervise import Supervisor

MIN_SECRET = 16
"""The least number of characters of a secret."""

_BACKUP_HOURS = 26
_ADAPTERS = {"whatsapp": "whatsapp_port", "erp": "erp_port", "cache": "cache_port", "pages": "pages_port"}
_STOPPED = {
    "postmaster": "PostgreSQL is not started again if it is killed",
    "pgbouncer": "clients that speak SQL cannot connect",
    "gateway": "there is no HTTP API: no one can order",
    "redis": "nothing: the cache goes on without it",
    "cache": "pages read the catalogue from the gateway, which is slower",
    "whatsapp": "no message is sent and none received; they wait in the database",
    "erp": "nothing is exchanged with the ERP; orders wait in the database",
    "pages": "shop and console are not available; the API is",
    "reports": "reports are not available",
}
"""What it means that a program is down."""


def check() -> Iterator[Finding]:
    """Check the checkout's stack, if there is one."""
    file = settings.env_file(paths.data_dir())
    if not file.exists():
        yield Finding(True, "this checkout has no stack yet (./hub up creates one)")
        return
    try:
        stack = Stack.existing()
    except UserError as error:
        yield Finding(False, error.message, "the stack does not start", error.hint)
        return
    mode = file.stat().st_mode & 0o777
    yield Finding(
        mode == 0o600,
        f"secrets in {file} have mode {mode:04o}",
        "other accounts of the machine can read passwords and the signing secret",
        f"chmod 600 {file}, then rotate the secrets if other people use the machine",
    )
    yield secrets(stack.settings)
    if until := stack.settings.jwt_previous_until:
        yield former_key(until, datetime.now(UTC))
    running = stack.cluster.is_running()
    yield Finding(
        running,
        f"PostgreSQL is {'running' if running else 'down'} on port {stack.settings.postgres_port}",
        "nothing works",
        "./hub up; ./hub logs postgres shows why it ended",
    )
    yield from _programs(stack)
    if not running:
        return
    url = stack.settings.database_url.get_secret_value()
    try:
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as conn:
            yield from database.check(conn, has_replica=stack.has_replica)
            yield from _backups(stack, conn)
    except psycopg.Error as error:
        yield Finding(
            False,
            f"database: {str(error).strip()}",
            "the database cannot be read",
            "./hub logs postgres; is it migrated (./hub migrate)?",
        )


def secrets(values: Settings) -> Finding:
    """Whether each secret is long enough and used once."""
    given = {
        name: value.get_secret_value()
        for name, value in values
        if isinstance(value, SecretStr) and value.get_secret_value()
    }
    short = sorted(name for name, value in given.items() if len(value) < MIN_SECRET)
    used = list(given.values())
    doubled = sorted(name for name, value in given.items() if used.count(value) > 1)
    faults = [f"{name} has fewer than {MIN_SECRET} characters" for name in short]
    faults += [f"{', '.join(doubled)} are the same"] if doubled else []
    return Finding(
        not faults,
        "; ".join(faults) or f"{len(given)} secrets are long enough and differ",
        "a secret can be guessed, or one that leaks opens more than its own door",
        "remove it from hub.env and from the environment; ./hub up creates another one",
    )


def former_key(until: datetime, now: datetime) -> Finding:
    """Whether the signing secret before the present one is still needed."""
    return Finding(
        until > now,
        f"the former signing secret is needed until {until:%Y-%m-%d %H:%M %Z}; then: ./hub rotate-key --drop",
        "its tokens have expired, and a caller who knows it can still sign new ones",
        "./hub rotate-key --drop",
    )


def _programs(stack: Stack) -> Iterator[Finding]:
    supervisor = Supervisor(stack)
    states = supervisor.states() if supervisor.is_running() else {}
    for name in states or ("pgbouncer", "gateway"):
        state = states[name]["statename"] if name in states else "STOPPED"
        yield Finding(
            state == "RUNNING",
            f"{name} is {state}",
            _STOPPED.get(name, "a program that was declared for the stack is missing"),
            f"./hub up; ./hub logs {name} shows why it ended",
        )
    for name, port in _ADAPTERS.items():
        if name in states and states[name]["statename"] == "RUNNING":
            yield adapter(name, f"http://{HOST}:{getattr(stack.settings, port)}/health")


def adapter(name: str, url: str) -> Finding:
    """Whether an adapter reaches what it needs: gateway, database, provider, ERP."""
    next_step = f"GET {url} names the check that fails; ./hub logs {name}"
    try:
        answer = httpx.get(url, timeout=5, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return Finding(False, f"{name} does not answer: {error}", _STOPPED[name], next_step)
    failing = [
        f"{check} ({found['detail']})" for check, found in body.get("checks", {}).items() if not found["ok"]
    ]
    # A channel whose provider is away does not make the adapter unready: it waits, and so do its messages.
    failing += [
        f"{channel} ({state})" for channel, state in body.get("channels", {}).items() if state != "ok"
    ]
    return Finding(
        answer.status_code == 200 and not failing,
        f"{name} reaches what it needs" if not failing else f"{name}: {', '.join(failing)}",
        _STOPPED[name],
        next_step,
    )


def _backups(stack: Stack, conn: psycopg.Connection[tuple[object, ...]]) -> Iterator[Finding]:
    repository = stack.backups
    if not repository.is_enabled:
        yield Finding(True, "backups: none, and no WAL is archived (./hub backup begins)")
        return
    try:
        yield backup(repository.backups(), datetime.now(UTC))
    except UserError as error:
        yield Finding(
            False,
            f"backups: {str(error).strip()}",
            "no backup can be taken or restored",
            f"is {repository.storage} there, and the passphrase the one that wrote it?",
        )
    lacking = erasures.missing(conn, repository.storage)
    yield Finding(
        not lacking,
        f"{len(lacking)} erasures that a restore has undone",
        "the database holds persons who asked to be erased",
        f"settle, then call erase_partner: {', '.join(erasure.partner_id for erasure in lacking)}",
    )


def backup(backups: list[Backup], now: datetime) -> Finding:
    """Whether the last backup is young enough."""
    last = backups[-1].ended_at if backups else None
    return Finding(
        last is not None and now - last < timedelta(hours=_BACKUP_HOURS),
        f"the last backup ended {last:%Y-%m-%d %H:%M}Z" if last else "there is no backup",
        "a restore must replay much WAL, or finds nothing to begin with",
        "./hub backup, then its schedule (docs/operations/backups.md)",
    )
