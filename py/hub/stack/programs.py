"""What supervisord runs. To add an adapter, add a function to ADAPTERS: that is the one place."""

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from devtools.tryton import server as tryton_server
from hub import paths, settings
from hub.osuser import Account
from hub.ports import HOST
from hub.stack import pgbouncer
from hub.stack.gateway import Gateway, GatewayConfig, account_for
from hub.stack.layout import Stack


@dataclass(frozen=True)
class Program:
    """A supervised program. `version` is a hash of what it reads at its start: another one restarts it."""

    name: str
    command: tuple[str, ...]
    port: int
    account: Account
    version: str
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def programs(stack: Stack, gateway: Gateway) -> list[Program]:
    """Everything but PostgreSQL, in the order of starting; writes the configuration files."""
    found = [_pgbouncer(stack), _gateway(stack, gateway)]
    return found + [program for adapter in ADAPTERS if (program := adapter(stack, gateway))]


def _pgbouncer(stack: Stack) -> Program:
    config = pgbouncer.write(stack.run, stack.settings, stack.account)
    version = _hash(config.read_text() + pgbouncer.userlist(stack.settings))
    command = (str(pgbouncer.program()), "-q", str(config))
    return Program("pgbouncer", command, stack.settings.pgbouncer_port, stack.account, version)


def _gateway(stack: Stack, gateway: Gateway) -> Program:
    settings = stack.settings
    config = GatewayConfig(
        db_uri=settings.authenticator_url,
        listen_uri=settings.listen_url,
        jwt_secret=settings.jwt_secret,
        port=settings.gateway_port,
        admin_port=settings.gateway_admin_port,
    )
    path = stack.run / "postgrest.conf"
    account = account_for(gateway)
    config.write(path, gateway.kind, account)
    version = _hash(config.text(gateway.kind) + (source_version() if gateway.kind == "standin" else ""))
    command = (*gateway.command, str(path))
    return Program("gateway", command, settings.gateway_port, account, version, settings.gateway_url)


def _whatsapp(stack: Stack, gateway: Gateway) -> Program | None:
    if not _exists("adapters.whatsapp"):
        return None
    port = stack.settings.whatsapp_port
    account = account_for(Gateway("standin", (sys.executable, "-m", "standin"), ""))  # who can run Python
    messages = messages_file(stack)
    messages.parent.mkdir(mode=0o700, exist_ok=True)
    account.own(messages.parent)
    told = settings.adapter(stack.folder, "WHATSAPP", "SMTP") | {
        "gateway_url": stack.settings.gateway_url,
        "jwt_secret": stack.settings.jwt_secret,
        "listen_url": stack.settings.listen_url,
        "whatsapp_port": str(port),
        "whatsapp_file": str(messages),
    }
    return Program(
        "whatsapp",
        (sys.executable, "-m", "adapters.whatsapp"),
        port,
        account,
        _hash(source_version() + json.dumps(told)),
        f"http://{HOST}:{port}",
        {"HUB_WHATSAPP_SETTINGS": str(_private(stack.run / "whatsapp.json", told, account))},
    )


def _erp(stack: Stack, gateway: Gateway) -> Program | None:
    """The ERP adapter, where somebody said which ERP: HUB_ERP_KIND, or the demo's Tryton."""
    told = settings.adapter(stack.folder, "ERP")
    if demo := tryton_server.demo(stack.folder):
        told = demo.adapter(stack.settings.trytond_port) | told
    if told.get("erp_kind", "none") == "none":
        return None
    account = account_for(Gateway("standin", (sys.executable, "-m", "standin"), ""))
    port = stack.settings.erp_port
    told |= {
        "gateway_url": stack.settings.gateway_url,
        "jwt_secret": stack.settings.jwt_secret,
        "listen_url": stack.settings.listen_url,
        "erp_port": str(port),
    }
    return Program(
        "erp",
        (sys.executable, "-m", "adapters.erp"),
        port,
        account,
        _hash(source_version() + json.dumps(told)),
        f"http://{HOST}:{port}",
        {"HUB_ERP_SETTINGS": str(_private(stack.run / "erp.json", told, account))},
    )


def _trytond(stack: Stack, gateway: Gateway) -> Program | None:
    """The demo's Tryton, once `hub demo --with-erp` has made it."""
    demo = tryton_server.demo(stack.folder)
    if demo is None:
        return None
    port = stack.settings.trytond_port
    server = tryton_server.Server(stack.cluster, demo.database, port, stack.folder / "tryton")
    account = account_for(Gateway("standin", (sys.executable, "-m", "standin"), ""))
    command = tuple(server.command(account))
    return Program("trytond", command, port, account, _hash(" ".join(command)), server.url)


def _private(path: Path, told: dict[str, str], account: Account) -> Path:
    """Write what an adapter is told where only its account can read it; returns the path.

    Not into the environment: supervisord's own configuration has no way to quote a quotation mark.
    """
    making = path.with_suffix(".making")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(told, out)
    account.own(making)
    making.replace(path)
    return path


def messages_file(stack: Stack) -> Path:
    """Where the WhatsApp adapter keeps what it printed, one JSON object a line."""
    return stack.folder / "whatsapp" / "messages.jsonl"


ADAPTERS: list[Callable[[Stack, Gateway], Program | None]] = [_whatsapp, _trytond, _erp]
"""Each returns its program, or None where its module is not there."""


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_version() -> str:
    """A hash over our own Python sources, so that `hub up` after a pull restarts what runs them."""
    files = sorted(Path(paths.root() / "py").rglob("*.py"))
    return _hash("".join(f"{path}:{path.stat().st_mtime_ns}" for path in files))
