"""`python -m standin CONFIG_FILE`: run the stand-in."""

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn
from uvicorn.protocols.http import h11_impl

from standin import config
from standin.app import Gateway, create

BANNER = "hub-standin: a STAND-IN for PostgREST, for development and tests only. NEVER use it for production."
_LEVELS = {"crit": "critical", "error": "error", "warn": "warning", "info": "info", "debug": "debug"}


def main(arguments: list[str]) -> int:
    """Run until stopped; returns 1 if it cannot start."""
    print(BANNER, file=sys.stderr, flush=True)
    if len(arguments) > 1:
        return _fail("usage: python -m standin [CONFIG_FILE]")
    try:
        settings = config.load(Path(arguments[0]) if arguments else None)
    except config.ConfigError as error:
        return _fail(str(error))
    for warning in settings.warnings:
        print(f"hub-standin: warning: {warning}", file=sys.stderr, flush=True)
    try:
        sockets = [_listen(settings.host, settings.server_port)]
        if settings.admin_server_port is not None:
            sockets.append(_listen(settings.host, settings.admin_server_port))
    except OSError as error:
        return _fail(f"cannot listen on {settings.host}: {error.strerror or error}")
    logging.basicConfig(
        level=_LEVELS[settings.log_level].upper(), format="hub-standin: %(levelname)s: %(message)s"
    )
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, sockets))
    return 0


def _fail(message: str) -> int:
    print(f"hub-standin: {message}", file=sys.stderr, flush=True)
    return 1


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"port {port}: {reason}") from None
    # asyncio does this only for sockets that it makes itself; without it each answer waits 40 ms for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


async def _serve(settings: config.Config, sockets: list[socket.socket]) -> None:
    # A function may raise PT600 and the like; uvicorn fails on what it has no reason phrase for.
    h11_impl.STATUS_PHRASES.update(dict.fromkeys(range(600, 1000), b""))
    gateway = Gateway(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            create(gateway),
            http="h11",
            ws="none",
            lifespan="on",
            server_header=False,
            access_log=settings.log_level in ("info", "debug"),
            log_config=None,
            log_level=_LEVELS[settings.log_level],
            timeout_graceful_shutdown=5,
            timeout_keep_alive=75,  # longer than clients keep idle connections: none is lost in a race
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, gateway.reload_soon)
    await server.serve(sockets)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
