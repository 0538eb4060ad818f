"""An environment for the adapter: gateway, fake Meta server, and the adapter as a process to be killed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx
import psycopg

from hub.ports import next_free
from tests.support.adapter_process import AdapterProcess
from tests.support.client import RunningGateway
from tests.support.waiting import wait_until
from tests.whatsapp import fake_meta
from tests.whatsapp.fake_meta import FakeMeta

MESSAGES_PER_RECIPIENT = 20
"""Below Meta's burst of 45 messages to a recipient, after which it accepts one in six seconds."""


@dataclass
class Environment(AdapterProcess):
    """The running parts; `start` runs the adapter."""

    NAME: ClassVar[str] = "whatsapp"

    gateway: RunningGateway
    meta: FakeMeta
    folder: Path
    port: int
    extra: dict[str, str] = field(default_factory=dict)
    """Further environment variables of the adapter."""

    @property
    def mail(self) -> Path:
        """File of the e-mails that the console delivery keeps."""
        return self.folder / "mail.jsonl"

    @property
    def log(self) -> Path:
        """The adapter's log."""
        return self.folder / "adapter.log"

    def settings(self) -> dict[str, str]:
        """The adapter's settings, as environment variables."""
        return {
            "HUB_GATEWAY_URL": self.gateway.url,
            "HUB_JWT_SECRET": self.gateway.jwt_secret,
            "HUB_LISTEN_URL": self.gateway.database_url,
            "HUB_DELIVERY": "console",
            "HUB_WHATSAPP_PORT": str(self.port),
            "HUB_WHATSAPP_FILE": str(self.mail),
            "HUB_WHATSAPP_TOKEN": fake_meta.TOKEN,
            "HUB_WHATSAPP_PHONE_NUMBER_ID": fake_meta.PHONE_NUMBER_ID,
            "HUB_WHATSAPP_APP_SECRET": fake_meta.APP_SECRET,
            "HUB_WHATSAPP_VERIFY_TOKEN": fake_meta.VERIFY_TOKEN,
            "HUB_WHATSAPP_GRAPH_URL": self.meta.url,
            "HUB_WHATSAPP_POLL_SECONDS": "0.2",
            **self.extra,
        }

    def wait_up(self) -> None:
        """Wait until the adapter answers. Raises AssertionError with its log after a minute."""

        def is_up() -> bool:
            with suppress(httpx.HTTPError):
                url = f"http://127.0.0.1:{self.port}/health"
                return httpx.get(url, trust_env=False).status_code == 200
            return False

        wait_until(is_up, 60, interval=0.05, details=lambda: self.log.read_text()[-2000:])

    def enqueue(self, count: int, channel: str = "WHATSAPP") -> set[str]:
        """Enqueue `count` messages of a channel for partners in turn; returns the messages' ids.

        Adds partners if the demo's would get more than MESSAGES_PER_RECIPIENT each.
        """
        with psycopg.connect(self.gateway.database_url) as conn:
            conn.execute(
                "insert into app.partners (email, phone, password_hash, business_name)"
                " select format('reader-%%s@salon.example', n), '+62877' || lpad(n::text, 7, '0'), 'x',"
                " 'Pembaca ' || n from generate_series(1, %s - (select count(*) from app.partners)) as n",
                [count // MESSAGES_PER_RECIPIENT],
            )
            rows = conn.execute(
                "select (app.enqueue_messages('order_status', 'PARTNER', array[p.id], null,"
                ' \'{"order_number": "ORD-261123-000001", "status_text": "selesai"}\','
                " %s::app.notification_channel_enum))[1]::text"
                " from (select row_number() over (order by id) - 1 as n, count(*) over () as partners, id"
                " from app.partners) as p, generate_series(0, %s) as g where g %% p.partners = p.n",
                [channel, count - 1],
            )
            return {row[0] for row in rows}

    def mails(self) -> list[str]:
        """The ids of the delivered e-mails, in their order."""
        if not self.mail.exists():
            return []
        return [str(json.loads(line)["id"]) for line in self.mail.read_text().splitlines()]

    def repeats(self) -> dict[str, int]:
        """How often the outbox sent each message again, by the message's id."""
        with psycopg.connect(self.gateway.database_url) as conn:
            rows = conn.execute("select id::text, repeats from app.messages")
            return {row[0]: row[1] for row in rows}

    def statuses(self) -> dict[str, int]:
        """The number of messages in each status."""
        with psycopg.connect(self.gateway.database_url) as conn:
            return dict(conn.execute("select status, count(*) from app.messages group by 1").fetchall())


@contextmanager
def running(gateway: RunningGateway, folder: Path) -> Iterator[Environment]:
    """An environment whose adapter is not started yet; `folder` keeps its log and e-mails."""
    with fake_meta.running() as meta:
        port = next_free(27900 + os.getpid() % 500)
        meta.webhook_url = f"http://127.0.0.1:{port}/webhook"
        environment = Environment(gateway, meta, folder, port)
        try:
            yield environment
        finally:
            environment.kill()
