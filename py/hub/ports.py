"""Loopback ports: whether one is free, and the next that is."""

import socket

from hub.errors import UserError

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server can bind loopback `port`; connections in TIME_WAIT do not prevent that."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def next_free(start: int, taken: set[int] | None = None, tries: int = 200) -> int:
    """The first free port from `start` on that is not in `taken`.

    Raises UserError if `tries` consecutive ports are taken.
    """
    for port in range(start, start + tries):
        if port not in (taken or set()) and is_free(port):
            return port
    raise UserError(
        f"no free port between {start} and {start + tries - 1}", hint="stop what uses them: ss -ltnp"
    )
