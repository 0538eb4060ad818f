"""hub rotate-key: a new signing secret, while tokens of the former one are accepted until they expire."""

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import psycopg
from dotenv import dotenv_values

from adapters.common.tokens import key_set
from hub import paths, settings
from hub.console import say
from hub.errors import UserError
from hub.migrate.runner import store_secret
from hub.stack import gateway as gateways
from hub.stack.layout import Stack
from hub.stack.programs import Program, programs
from hub.stack.supervise import Supervisor
from hub.stack.up import locked, wait

_CLOCKS = timedelta(minutes=1)
"""The gateway accepts a token for half a minute after its end, and clocks differ."""

_LONGEST = timedelta(days=1)
"""The longest life of a token that a config allows; used where no database can be asked."""

_PLAIN = re.compile(r"[\w.:+/=-]*", re.ASCII)
"""A value that needs no quotes in an env file."""

_LIFETIME = "select greatest(app.config_int('auth.access_token_minutes'), app.config_int(%s))"


def rotate_key(*, drop: bool, revoke: bool, file: Path | None) -> None:
    """Replace the signing secret of the stack, or of the env file `file`, and print what to do next.

    `revoke` accepts the former secret no longer: all tokens are refused at once. `drop` ends a rotation.
    Raises UserError for a rotation that is under way, or that has not come to its end.
    """
    if file:
        _rotate_file(file, drop=drop, revoke=revoke)
        return
    stack = Stack.existing()
    with locked(stack.folder):
        if not stack.cluster.is_running():
            raise UserError("the stack is down", hint="./hub up starts it")
        if drop:
            _check_ended(stack.settings.jwt_previous_until)
            stack.settings = settings.drop_previous_secret(stack.folder)
        else:
            stack.settings = settings.rotate_jwt_secret(
                stack.folder, datetime.now(UTC) + _lifetime(stack), accept_former=not revoke
            )
        # The gateway accepts the new secret before the database signs with it.
        supervisor = Supervisor(stack)
        restarted = _restart(stack, supervisor)
        with psycopg.connect(stack.cluster.url(stack.settings.database), autocommit=True) as conn:
            store_secret(conn, stack.settings.jwt_secret.get_secret_value(), stack.settings.jwt_previous)
        for program in restarted:
            wait(stack, supervisor, program)
    _report(stack.settings.jwt_previous_until, drop=drop, again="./hub rotate-key --drop")


def _lifetime(stack: Stack) -> timedelta:
    """The longest life of a token that the stack's configuration allows now."""
    with psycopg.connect(stack.cluster.url(stack.settings.database)) as conn:
        minutes = conn.execute(_LIFETIME, ["auth.shadow_session_minutes"]).fetchall()[0][0]
    return timedelta(minutes=minutes) + _CLOCKS


def _restart(stack: Stack, supervisor: Supervisor) -> list[Program]:
    """Restart what reads the signing secret and wait for the gateways; returns all that is running."""
    if not supervisor.is_running():
        return []
    gateway = gateways.choose(stack.settings.gateway, paths.root() / ".cache" / "postgrest")
    running = programs(stack, gateway)
    supervisor.bring_up(running)
    for program in running:
        if program.is_gateway:
            wait(stack, supervisor, program)
    return running


def _check_ended(until: datetime | None) -> None:
    if until and until > datetime.now(UTC):
        raise UserError(
            f"tokens of the former secret are valid until {until:%Y-%m-%d %H:%M %Z}",
            hint="wait until then, or pass --revoke to refuse them now: callers refresh their sessions",
        )


def _rotate_file(file: Path, *, drop: bool, revoke: bool) -> None:
    """Rewrite the lines of an env file that hold signing secrets; everything else stays."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    written = dotenv_values(stream=StringIO(text), interpolate=False)
    values = {name: value or "" for name, value in written.items()}
    former = values.get("HUB_JWT_PREVIOUS_UNTIL")
    until = datetime.fromisoformat(former) if former else None
    if drop:
        _check_ended(until)
        values |= {"HUB_JWT_PREVIOUS_SECRET": "", "HUB_JWT_PREVIOUS_UNTIL": ""}
    elif until and not revoke:
        raise UserError(f"a rotation is under way until {until:%Y-%m-%d %H:%M %Z}", hint="end it with --drop")
    else:
        ends = datetime.now(UTC) + _LONGEST + _CLOCKS
        values = settings.rotated(values, ends, accept_former=not revoke)
    previous = values["HUB_JWT_PREVIOUS_SECRET"]
    values["HUB_JWT_KEYS"] = key_set(values["HUB_JWT_SECRET"], previous) if previous else ""
    for name in ("HUB_JWT_SECRET", "HUB_JWT_PREVIOUS_SECRET", "HUB_JWT_PREVIOUS_UNTIL", "HUB_JWT_KEYS"):
        line = f"{name}={_env_value(values[name])}"
        pattern = re.compile(rf"^{name}=.*$", re.MULTILINE)
        if pattern.search(text):
            text = pattern.sub(line.replace("\\", r"\\"), text)
        else:
            text = text.rstrip("\n") + f"\n{line}\n"
    settings.replace_private(file, text)
    ends_text = values["HUB_JWT_PREVIOUS_UNTIL"]
    _report(
        datetime.fromisoformat(ends_text) if ends_text else None,
        drop=drop,
        again=f"./hub rotate-key --file {file} --drop",
    )
    # `up` leaves services of other profiles as they are: the gateway for reports would refuse all new tokens.
    reports = "reports " if "replica" in values.get("COMPOSE_PROFILES", "").split(",") else ""
    say("restart the gateways and the cache first, then the rest:")
    first = f"docker compose up --detach --no-deps postgrest {reports}cache"
    say(f"  {first} && docker compose up --detach --wait")


def _env_value(value: str) -> str:
    """A value as Compose reads it: in single quotes, in which nothing is expanded, where it is not plain."""
    return value if _PLAIN.fullmatch(value) else "'" + value.replace("'", r"\'") + "'"


def _report(until: datetime | None, *, drop: bool, again: str) -> None:
    if drop:
        say("the former signing secret is no longer accepted")
    elif until:
        say("new tokens are signed with a new secret")
        say(f"those of the former secret are accepted until {until:%Y-%m-%d %H:%M %Z}")
        say(f"afterwards drop it: {again}")
    else:
        say("new tokens are signed with a new secret; all others are refused")
        say("callers with a session refresh it")
