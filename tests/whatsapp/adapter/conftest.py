"""A gateway whose outbox is empty, and people to write to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.whatsapp.settings import Settings
from hub.seed import load
from tests.support.client import RunningGateway

Owe = Callable[[int], list[str]]


@pytest.fixture(scope="module")
def seeded(gateway: RunningGateway) -> RunningGateway:
    """The module's gateway, on the demo data."""
    load(gateway.database_url)
    return gateway


@pytest.fixture
def told(seeded: RunningGateway, tmp_path: Path) -> Settings:
    """Settings of an adapter at that gateway; its outbox is empty."""
    with psycopg.connect(seeded.database_url) as conn:
        conn.execute("delete from app.messages")
    return Settings(
        gateway_url=seeded.url,
        jwt_secret=seeded.jwt_secret,
        whatsapp_file=tmp_path / "messages.jsonl",
        whatsapp_poll_seconds=0.05,
    )


@pytest.fixture
def owe(seeded: RunningGateway) -> Owe:
    """`owe(n)`: owes n partners a message each; returns the messages' ids."""

    def enqueue(count: int) -> list[str]:
        with psycopg.connect(seeded.database_url) as conn:
            rows = conn.execute(
                "select app.enqueue_message('order_status', 'PARTNER', p.id, null,"
                ' \'{"order_number": "ORD-261123-000001", "status_text": "selesai"}\')::text'
                " from (select id from app.partners order by email limit %s) as p",
                [count],
            )
            return [row[0] for row in rows.fetchall()]

    return enqueue


def states(gateway: RunningGateway) -> dict[str, tuple[str, int]]:
    """Status and attempts of every message."""
    with psycopg.connect(gateway.database_url) as conn:
        rows = conn.execute("select id::text, status, attempts from app.messages").fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def run_sql(gateway: RunningGateway, statement: str) -> None:
    """As the DBA."""
    with psycopg.connect(gateway.database_url) as conn:
        conn.execute(statement)


def lines(file: Path | None) -> list[dict[str, Any]]:
    """What the console delivery kept."""
    if file is None or not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]
