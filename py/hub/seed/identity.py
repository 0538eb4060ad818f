"""Ids, numbers and chance that are the same on every run: all follow from a name."""

import hashlib
import random
import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

_SEED = "alfa-digital-hub"

JAKARTA = timezone(timedelta(hours=7), "WIB")


def stable_id(kind: str, key: str, at: datetime) -> UUID:
    """A UUID version 7 of this moment whose random part follows from `kind` and `key`."""
    milliseconds = int(at.timestamp() * 1000)
    tail = int.from_bytes(_digest(kind, key)[:10], "big")
    value = milliseconds << 80 | tail
    value = value & ~(0xF << 76) | 7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def chance(kind: str, key: str) -> random.Random:
    """A generator of its own for each row, so that adding a row changes no other."""
    return random.Random(_digest(kind, key))  # noqa: S311 - nobody's secret


def moment(kind: str, key: str, first: datetime, last: datetime) -> datetime:
    """A second between two moments."""
    seconds = int((last - first).total_seconds())
    return first + timedelta(seconds=chance(kind + ":moment", key).randrange(seconds))


def slug(name: str) -> str:
    """A name as it stands in an e-mail address: `salon-melati-bogor`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("'", "")).strip("-")


def phone(block: int, number: int) -> str:
    """A number that looks like a mobile's and is nobody's: no operator holds the prefix 0840."""
    return f"+62840{block:03}{number:05}"


def utc(year: int, month: int, day: int) -> datetime:
    """Midnight UTC."""
    return datetime(year, month, day, tzinfo=UTC)


def _digest(kind: str, key: str) -> bytes:
    return hashlib.sha256(f"{_SEED}\0{kind}\0{key}".encode()).digest()
