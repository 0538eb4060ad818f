"""Checks of the machine: programs, extensions, disk, clock, certificate."""

import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from hub import paths, postgres, settings
from hub.doctor.findings import Finding, attempt
from hub.stack import gateway, pgbouncer, redis

_EXTENSIONS = {
    "pg_cron": "no job runs by itself",
    "plpgsql_check": "some tests are left out",
    "pgcrypto": "the database cannot be migrated",
    "btree_gist": "the database cannot be migrated",
    "pg_trgm": "the database cannot be migrated",
}
"""The extensions, and what a missing one means."""

MIN_FREE_RATIO = 0.1
"""The least part of a disk that is free."""

_CERTIFICATE_DAYS = 14
_CONNECT_SECONDS = 5


def check() -> Iterator[Finding]:
    """Check the machine, whether it has a stack or not."""
    found = settings.read()
    yield Finding(
        sys.version_info >= (3, 11),
        f"Python {sys.version.split()[0]}",
        "the hub needs Python 3.11",
        "install a newer one, and remove .venv",
    )
    programs = attempt(
        lambda: f"PostgreSQL programs in {postgres.bin_dir()}",
        "the stack cannot start PostgreSQL",
        "./hub up installs it on Debian and Ubuntu",
    )
    yield programs
    for extension, meaning in _EXTENSIONS.items() if programs.passed else ():
        available = postgres.has_extension(extension)
        yield Finding(
            available,
            f"extension {extension} is {'installed' if available else 'missing'}",
            meaning,
            "./hub up installs the packages of Debian and Ubuntu",
        )
    yield attempt(
        lambda: f"pgbouncer in {pgbouncer.program()}",
        "clients that speak SQL find no pooler",
        "./hub up installs it",
    )
    program = redis.program()
    yield Finding(True, f"Redis in {program}" if program else redis.MISSING)
    yield attempt(
        lambda: gateway.choose(found.gateway, paths.root() / ".cache" / "postgrest").banner,
        "there is no HTTP API",
        "set POSTGREST_BIN to PostgREST's program",
    )
    data = paths.data_dir()
    yield disk(data if data.exists() else paths.root())
    yield clock(_synchronised())
    if found.public_url:
        yield certificate(found.public_url)


def disk(folder: Path) -> Finding:
    """Whether the disk of a folder has room."""
    usage = shutil.disk_usage(folder)
    free = usage.free / usage.total
    return Finding(
        free >= MIN_FREE_RATIO,
        f"{free:.0%} of the disk of {folder} are free ({usage.free / 1e9:.1f} GB)",
        "PostgreSQL stops when the disk is full; nothing that it acknowledged is lost",
        "look for WAL that is not archived, a slot without a standby, and old folders postgres.DATE-TIME",
    )


def _synchronised() -> str:
    """`yes`, `no`, or empty where systemd does not know."""
    program = shutil.which("timedatectl")
    if not program:
        return ""
    command = [program, "show", "--property=NTPSynchronized", "--value"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip() if done.returncode == 0 else ""


def clock(synchronised: str) -> Finding:
    """Whether the clock is kept by NTP, by what timedatectl says."""
    text = {"yes": "is synchronised", "no": "is not synchronised"}.get(
        synchronised, "is kept by something else"
    )
    return Finding(
        synchronised != "no",
        f"the clock {text}",
        "tokens are refused or live too long, and limits of the service level are wrong",
        "timedatectl set-ntp true, or install chrony",
    )


def certificate(url: str) -> Finding:
    """Whether the certificate of an https URL is valid and does not expire soon."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    meaning, next_step = "browsers and apps refuse to connect", "renew the certificate of the proxy"
    if parts.scheme != "https":
        return Finding(
            False,
            f"HUB_PUBLIC_URL is {url}",
            "passwords and tokens travel in clear",
            "put a proxy with TLS before the gateway",
        )
    try:
        with (
            socket.create_connection((host, port), timeout=_CONNECT_SECONDS) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            ends = ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        return Finding(False, f"certificate of {host}: {error.verify_message}", meaning, next_step)
    except OSError as error:
        return Finding(
            False, f"{url} does not answer: {error}", "clients cannot connect", "is the proxy running?"
        )
    days = (ends - time.time()) / 86400
    return Finding(
        days > _CERTIFICATE_DAYS,
        f"the certificate of {host} is valid for {days:.0f} days",
        meaning,
        next_step,
    )
