"""Ids, phone numbers and random values that depend on a name only, and so are the same on every run."""

import hashlib
import random
import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

_SEED = "alfa-digital-hub"

JAKARTA = timezone(timedelta(hours=7), "WIB")


def stable_id(kind: str, key: str, at: datetime) -> UUID:
    """A UUIDv7 of the moment `at`, with a random part derived from `kind` and `key`."""
    milliseconds = int(at.timestamp() * 1000)
    tail = int.from_bytes(_digest(kind, key)[:10], "big")
    value = milliseconds << 80 | tail
    value = value & ~(0xF << 76) | 7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def generator(kind: str, key: str) -> random.Random:
    """A random generator for one row, so that adding a row changes no other."""
    return random.Random(_digest(kind, key))  # noqa: S311 - generates no secret


def moment(kind: str, key: str, first: datetime, last: datetime) -> datetime:
    """A moment between two others, in whole seconds."""
    seconds = int((last - first).total_seconds())
    return first + timedelta(seconds=generator(kind + ":moment", key).randrange(seconds))


def slug(name: str) -> str:
    """A name as part of an e-mail address: `salon-melati-bogor`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("'", "")).strip("-")


def phone(block: int, number: int) -> str:
    """A fictitious mobile number: no operator has the prefix 0840."""
    return f"+62840{block:03}{number:05}"


def utc(year: int, month: int, day: int) -> datetime:
    """Midnight UTC."""
    return datetime(year, month, day, tzinfo=UTC)


def _digest(kind: str, key: str) -> bytes:
    return hashlib.sha256(f"{_SEED}\0{kind}\0{key}".encode()).digest()
