"""A whole house: gateway, Meta's double, and the adapter as a process that can be killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from hub.ports import next_free
from tests.support.client import RunningGateway
from tests.whatsapp import fake_meta
from tests.whatsapp.fake_meta import Double

A_READERS_SHARE = 20
"""Messages to one reader: a burst of 45 goes out at once, and then Meta takes one in six seconds."""


@dataclass
class House:
    """Everything that is running."""

    gateway: RunningGateway
    meta: Double
    folder: Path
    port: int
    extra: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def mail(self) -> Path:
        """E-mails as the console delivery keeps them."""
        return self.folder / "mail.jsonl"

    def start(self) -> None:
        """Start the adapter; does not wait."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")} | {
            "HUB_GATEWAY_URL": self.gateway.url,
            "HUB_JWT_SECRET": self.gateway.jwt_secret,
            "HUB_LISTEN_URL": self.gateway.database_url,
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
        with (self.folder / "adapter.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "adapters.whatsapp"], env=environment, stdout=log, stderr=log
            )

    def wait_up(self) -> None:
        """Until the adapter answers."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{self.port}/health", trust_env=False).status_code == 200:
                    return
            time.sleep(0.05)
        raise TimeoutError((self.folder / "adapter.log").read_text()[-2000:])

    def kill(self) -> None:
        """As the kernel would, out of memory."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def owe(self, count: int) -> set[str]:
        """Owe partners so many messages, each in turn; returns the messages' ids.

        Where the demo's partners would get more than one reader's share, there are more partners.
        """
        with psycopg.connect(self.gateway.database_url) as conn:
            conn.execute(
                "insert into app.partners (email, phone, password_hash, business_name)"
                " select format('reader-%%s@salon.example', n), '+62877' || lpad(n::text, 7, '0'), 'x',"
                " 'Pembaca ' || n from generate_series(1, %s - (select count(*) from app.partners)) as n",
                [count // A_READERS_SHARE],
            )
            rows = conn.execute(
                "select app.enqueue_message('order_status', 'PARTNER', p.id, null,"
                ' \'{"order_number": "ORD-261123-000001", "status_text": "selesai"}\')::text'
                " from (select row_number() over (order by id) - 1 as n, count(*) over () as all_of_them, id"
                " from app.partners) as p, generate_series(0, %s) as g where g %% p.all_of_them = p.n",
                [count - 1],
            )
            return {row[0] for row in rows}

    def statuses(self) -> dict[str, int]:
        """How many messages there are of each status."""
        with psycopg.connect(self.gateway.database_url) as conn:
            return dict(conn.execute("select status, count(*) from app.messages group by 1").fetchall())


@contextmanager
def running(gateway: RunningGateway, folder: Path) -> Iterator[House]:
    """The house; the adapter is not yet started."""
    with fake_meta.running() as meta:
        port = next_free(27900 + os.getpid() % 500)
        meta.webhook_url = f"http://127.0.0.1:{port}/webhook"
        house = House(gateway, meta, folder, port)
        try:
            yield house
        finally:
            house.kill()
