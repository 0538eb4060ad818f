"""The programs that supervisord runs.

To add an adapter, add a function to ADAPTERS; a tool adds its server by a file (see hub.stack.declared).
"""

import compileall
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hub import pages, paths, postgres, settings
from hub.osuser import Account
from hub.ports import HOST
from hub.stack import declared, pgbouncer, redis
from hub.stack.gateway import Gateway, GatewayConfig, account_for
from hub.stack.layout import Stack

POSTMASTER = "postmaster"
"""The supervised program that keeps PostgreSQL running."""


@dataclass(frozen=True)
class Program:
    """A supervised program. `version` is a hash of what it reads when it starts: a change restarts it."""

    name: str
    command: tuple[str, ...]
    port: int
    account: Account
    version: str
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    declared_in: Path | None = None
    """The file that declares the program; None for the stack's own."""
    is_gateway: bool = False
    is_server: bool = False
    """PostgreSQL, which starts first and ends last; it changes its account itself."""


def programs(stack: Stack, gateway: Gateway) -> list[Program]:
    """The programs in the order of starting; writes their configuration files, but not PostgreSQL's."""
    found = [_postmaster(stack), _pgbouncer(stack), _gateway(stack, gateway)]
    if stack.has_replica:
        found.append(_reports(stack, gateway))
    found += [program] if (program := _redis(stack)) else []
    found += [_declared(stack, program) for program in declared.read(stack.folder)]
    return found + [program for adapter in ADAPTERS if (program := adapter(stack))]


def python_account() -> Account:
    """The account of programs that run the checkout's Python, which not every account can enter."""
    return account_for(Gateway("standin", (sys.executable, "-m", "standin"), ""))


def _postmaster(stack: Stack) -> Program:
    """What starts PostgreSQL again; `hub up` starts it the first time, with what it changes before."""
    cluster = stack.cluster
    command = (
        *(sys.executable, "-m", "hub.stack.postmaster"),
        *(str(postgres.program("postgres")), str(cluster.pgdata), str(cluster.log), cluster.account.name),
    )
    return Program(POSTMASTER, command, cluster.port, cluster.account, "", is_server=True)


def _pgbouncer(stack: Stack) -> Program:
    config = pgbouncer.write(stack.run, stack.settings, stack.account)
    version = _hash(config.read_text() + pgbouncer.userlist(stack.settings))
    command = (str(pgbouncer.program()), "-q", str(config))
    return Program("pgbouncer", command, stack.settings.pgbouncer_port, stack.account, version)


def _gateway(stack: Stack, gateway: Gateway) -> Program:
    settings = stack.settings
    config = GatewayConfig(
        db_uri=settings.authenticator_url,
        jwt_secret=settings.jwt_keys,
        port=settings.gateway_port,
        admin_port=settings.gateway_admin_port,
    )
    return _gateway_program(gateway, "gateway", config, stack.run / "postgrest.conf")


def _reports(stack: Stack, gateway: Gateway) -> Program:
    """The second gateway, which reads from the standby while it answers."""
    settings = stack.settings
    config = GatewayConfig(
        db_uri=settings.reports_database_url,
        jwt_secret=settings.jwt_keys,
        port=settings.reports_port,
        admin_port=settings.reports_admin_port,
        pre_request="auth.reports_guard",
        max_lifetime=settings.reports_connection_seconds,
    )
    return _gateway_program(gateway, "reports", config, stack.run / "reports.conf")


def _gateway_program(gateway: Gateway, name: str, config: GatewayConfig, path: Path) -> Program:
    account = account_for(gateway)
    config.write(path, account)
    version = _hash(config.text() + (source_version() if gateway.kind == "standin" else ""))
    command = (*gateway.command, str(path))
    url = f"http://{HOST}:{config.port}"
    return Program(name, command, config.port, account, version, url, is_gateway=True)


def _redis(stack: Stack) -> Program | None:
    """The stack's Redis, unless it is not installed or HUB_REDIS_URL names another one."""
    found = redis.program()
    if not found or "redis_url" in settings.read_adapter(stack.folder, "REDIS"):
        return None
    config = redis.write(stack.run, stack.settings, stack.account)
    command = (str(found), str(config))
    return Program("redis", command, stack.settings.redis_port, stack.account, _hash(config.read_text()))


def _declared(stack: Stack, program: declared.DeclaredProgram) -> Program:
    command = tuple(program.command)
    account = stack.account if program.account == "server" else python_account()
    return Program(
        program.name,
        command,
        program.port,
        account,
        _hash(json.dumps(command)),
        program.url,
        declared_in=declared.file_of(stack.folder, program.name),
    )


def _whatsapp(stack: Stack) -> Program | None:
    if not _exists("adapters.whatsapp"):
        return None
    port = stack.settings.whatsapp_port
    messages = messages_file(stack)
    messages.parent.mkdir(mode=0o700, exist_ok=True)
    python_account().own(messages.parent)
    values = _adapter_settings(stack, "WHATSAPP", "SMTP", "DELIVERY")
    if not {"whatsapp_token", "smtp_host"} & set(values):
        # A stack without any provider is for trying out; with one, a missing channel is an error.
        values.setdefault("delivery", "console")
    values |= {"whatsapp_port": str(port), "whatsapp_file": str(messages)}
    return _adapter(stack, "whatsapp", port, values)


def _erp(stack: Stack) -> Program | None:
    """The ERP adapter, where HUB_ERP_KIND or a declared program names an ERP."""
    port = stack.settings.erp_port
    values = _adapter_settings(stack, "ERP") | {"erp_port": str(port)}
    return None if values.get("erp_kind", "none") == "none" else _adapter(stack, "erp", port, values)


def _cache(stack: Stack) -> Program | None:
    """The cache, with the stack's Redis if there is one."""
    port = stack.settings.cache_port
    given = settings.read_adapter(stack.folder, "CACHE", "REDIS")
    values = {name: value for name, value in given.items() if not name.endswith("_password")}
    if redis.program():
        values.setdefault("redis_url", stack.settings.redis_url)
    values.setdefault("cache_database_url", stack.settings.cache_url)
    values |= {"cache_port": str(port), "jwt_secret": stack.settings.jwt_secret.get_secret_value()}
    if stack.settings.jwt_previous:
        values["jwt_previous_secret"] = stack.settings.jwt_previous[0]
    return _adapter(stack, "cache", port, values)


def _pages(stack: Stack) -> Program | None:
    """The shop and the console, once they are built."""
    if not pages.is_built():
        return None
    port = stack.settings.pages_port
    values = {
        "pages_root": str(pages.folder()),
        "pages_port": str(port),
        "gateway_url": stack.settings.gateway_url,
    }
    # A console that is built later is served after a restart.
    built = " ".join(str(file.parent.name) for file in sorted(pages.folder().glob("*/dist")))
    return _adapter(stack, "pages", port, values | {"built": built})


def _adapter_settings(stack: Stack, *prefixes: str) -> dict[str, str]:
    """An adapter's settings: defaults of declared programs, over them hub.env, the environment, the stack."""
    return {
        **declared.adapter_settings(stack.folder, *prefixes),
        **settings.read_adapter(stack.folder, *prefixes),
        "gateway_url": stack.settings.gateway_url,
        "jwt_secret": stack.settings.jwt_secret.get_secret_value(),
        "listen_url": stack.settings.authenticator_url,
    }


def _adapter(stack: Stack, name: str, port: int, values: dict[str, str]) -> Program:
    account = python_account()
    file = _write_private(stack.run / f"{name}.json", values, account)
    return Program(
        name,
        (sys.executable, "-m", f"adapters.{name}"),
        port,
        account,
        _hash(source_version() + json.dumps(values)),
        f"http://{HOST}:{port}",
        {f"HUB_{name.upper()}_SETTINGS": str(file)},
    )


def _write_private(path: Path, values: dict[str, str], account: Account) -> Path:
    """Write an adapter's settings where only its account can read them; returns the path.

    Not into the environment: supervisord's own configuration has no way to quote a quotation mark.
    """
    making = path.with_suffix(".making")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(values, out)
    account.own(making)
    making.replace(path)
    return path


def messages_file(stack: Stack) -> Path:
    """Where the WhatsApp adapter keeps what it printed, one JSON object a line."""
    return stack.folder / "whatsapp" / "messages.jsonl"


ADAPTERS: list[Callable[[Stack], Program | None]] = [_cache, _whatsapp, _erp, _pages]
"""Each returns its program, or None where the program is not installed or not configured."""


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def compile_sources() -> None:
    """Write the bytecode of the checkout, which the accounts of its programs may not write."""
    compileall.compile_dir(paths.root() / "py", quiet=2)


def source_version() -> str:
    """A hash over the checkout's Python sources, so that `hub up` after a pull restarts what runs them."""
    files = sorted(Path(paths.root() / "py").rglob("*.py"))
    return _hash("".join(f"{path}:{path.stat().st_mtime_ns}" for path in files))
