"""The erasures of partners, kept beside the backups: a database restored to an earlier moment knows no later
ones, and they must be repeated (UU PDP)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from hub.osuser import Account

_FILE = "erasures.jsonl"


@dataclass(frozen=True)
class Erasure:
    """An erasure: ids and the stated reason, which names no person."""

    partner_id: str
    erased_at: str
    reason: str


@dataclass(frozen=True)
class Repetition:
    """What became of the erasures that a restored database lacked; `refused` by partner, with the reason."""

    repeated: list[str]
    refused: dict[str, str]


def recorded(storage: Path) -> list[Erasure]:
    """The erasures in the list, oldest first."""
    path = storage / _FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return [Erasure(**json.loads(line)) for line in lines]


def record(conn: psycopg.Connection[Any], storage: Path, account: Account) -> int:
    """Add the erasures of the database that the list lacks; returns how many were added.

    A database that was never migrated has none.
    """
    if conn.execute("select to_regclass('app.partner_removals')").fetchone() == (None,):
        return 0
    known = {erasure.partner_id for erasure in recorded(storage)}
    rows = conn.execute(
        "select r.partner_id::text, r.created_at::text, r.reason from app.partner_removals as r"
        " where r.kind = 'ERASED' order by r.created_at, r.id"
    ).fetchall()
    new = [Erasure(*row) for row in rows if row[0] not in known]
    if new:
        path = storage / _FILE
        with path.open("a") as file:
            file.writelines(json.dumps(asdict(erasure)) + "\n" for erasure in new)
        account.own(path)
    return len(new)


def missing(conn: psycopg.Connection[Any], storage: Path) -> list[Erasure]:
    """The recorded erasures of partners who exist in the database and are not erased there."""
    listed = recorded(storage)
    rows = conn.execute(
        "select p.id::text from app.partners as p where p.id = any (%s::uuid[]) and not exists ("
        "select from app.partner_removals as r where r.partner_id = p.id and r.kind = 'ERASED')",
        [[erasure.partner_id for erasure in listed]],
    ).fetchall()
    lacking = {row[0] for row in rows}
    return [erasure for erasure in listed if erasure.partner_id in lacking]


def repeat(conn: psycopg.Connection[Any], storage: Path) -> Repetition:
    """Erase again what `missing` finds, each in a transaction of its own; the connection is a superuser's.

    One is refused while its partner has an open order or owes money, as at the restored moment.
    """
    repeated, refused = [], {}
    for erasure in missing(conn, storage):
        try:
            conn.execute(
                "select api.erase_partner(partner_id => %s, reason => %s)",
                [erasure.partner_id, erasure.reason],
            )
        except psycopg.DatabaseError as error:
            refused[erasure.partner_id] = error.diag.message_primary or str(error)
        else:
            repeated.append(erasure.partner_id)
    return Repetition(repeated, refused)
