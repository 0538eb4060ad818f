"""A whole house: the hub behind its gateway, Tryton behind a line to be disturbed, the adapter between."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from devtools.tryton.accounting_client import AccountingClient
from devtools.tryton.server import ADAPTER, Server
from hub.ports import next_free
from tests.erp import proxy as proxies
from tests.erp.accounting import SPECIFICATION
from tests.erp.proxy import Proxy
from tests.support.client import RunningGateway
from tests.support.context import Context, approve, broken_invariants, line, submit

TIMEOUT, SETTLE = 2.0, 3.0
"""The minutes of earnest, scaled down. Nothing that Tryton does here takes longer on an idle machine."""


@dataclass
class House:
    """Everything that is running; the adapter is started by the tests."""

    gateway: RunningGateway
    tryton: Server
    line: Proxy
    books: AccountingClient
    context: Context
    conn: psycopg.Connection[Any]
    folder: Path
    port: int = field(default_factory=lambda: next_free(27400 + os.getpid() % 400))
    extra: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """What the adapter is told."""
        return {k: v for k, v in os.environ.items() if not k.startswith("HUB_")} | {
            "HUB_GATEWAY_URL": self.gateway.url,
            "HUB_JWT_SECRET": self.gateway.jwt_secret,
            "HUB_LISTEN_URL": self.gateway.database_url,
            "HUB_ERP_KIND": "tryton",
            "HUB_ERP_PORT": str(self.port),
            "HUB_ERP_URL": self.line.url,
            "HUB_ERP_DATABASE": self.tryton.database,
            "HUB_ERP_LOGIN": ADAPTER,
            "HUB_ERP_PASSWORD": SPECIFICATION.password,
            "HUB_ERP_TIMEOUT_SECONDS": str(TIMEOUT),
            "HUB_ERP_SETTLE_SECONDS": str(SETTLE),
            "HUB_ERP_POLL_SECONDS": "0.2",
            "HUB_ERP_INTERVAL_SECONDS": "0.5",
            "HUB_ERP_OVERLAP_MINUTES": "1",
            **self.extra,
        }

    @property
    def log(self) -> Path:
        """What the adapter writes."""
        return self.folder / "adapter.log"

    def start(self) -> None:
        """Have the adapter running; does not wait. One that was told something else is ended first."""
        if self.process and self.process.poll() is None and self.told == self.extra:
            return
        self.kill()
        self.told = dict(self.extra)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "adapters.erp"], env=self.environment(), stdout=log, stderr=log
            )

    def once(self) -> subprocess.CompletedProcess[str]:
        """Every stream once."""
        return subprocess.run(
            [sys.executable, "-m", "adapters.erp", "--once"],
            env=self.environment() | {"HUB_ERP_SETTLE_SECONDS": "0", "HUB_ERP_TIMEOUT_SECONDS": "60"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def kill(self) -> None:
        """As the kernel would, out of memory."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def health(self) -> httpx.Response | None:
        """What the adapter says of itself; None while it does not answer."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/health", trust_env=False)
        return None

    def order(self, sku: str = "TRY-001", quantity: int = 2, partner: int = 0) -> dict[str, Any]:
        """An approved order, with its invoice under "invoice"."""
        made = submit(self.conn, self.context.partners[partner], [line(sku, quantity)])
        return made | {"invoice": approve(self.conn, self.context, made)}

    def value(self, query: str, *values: Any) -> Any:
        """The first column of the first row."""
        row = self.conn.execute(query, values or None).fetchone()
        return row[0] if row else None

    def taken(self, order: dict[str, Any]) -> str | None:
        """The ERP's number of an order that it has taken over."""
        found = self.value("select erp_reference from app.orders where id = %s", order["id"])
        return None if found is None else str(found)

    def display_stock(self, sku: str) -> int:
        """What the hub can sell."""
        return int(
            self.value(
                "select s.display_stock from app.inventory s join app.products p on p.id = s.product_id"
                " where p.sku = %s",
                sku,
            )
            or 0
        )

    def until(self, done: Callable[[], Any], seconds: float = 60) -> Any:
        """What `done` says once it says something."""
        deadline = time.monotonic() + seconds
        while not (found := done()):
            if time.monotonic() > deadline:
                raise AssertionError(self.log.read_text()[-3000:] if self.log.exists() else "not in time")
            time.sleep(0.05)
        return found

    def each_sale_once(self) -> None:
        """Every approved order has one sale, no sale lacks its order, and all promises of the hub hold."""
        approved = (
            "select order_number from app.orders where status in ('APPROVED', 'SHIPPED', 'COMPLETED')"
            " or id in (select order_id from app.erp_cancellations where outcome = 'REFUSED')"
        )
        orders = sorted(row[0] for row in self.conn.execute(approved).fetchall())
        sales = [
            row["reference"]
            for row in self.books.rows(
                "sale.sale", [["state", "!=", "cancelled"]], "reference", "shipments.state"
            )
            if not row["shipments."] or any(s["state"] != "cancelled" for s in row["shipments."])
        ]
        assert sorted(sales) == orders
        assert broken_invariants(self.conn) == {}


@contextmanager
def running(gateway: RunningGateway, tryton: Server, context: Context, folder: Path) -> Iterator[House]:
    """The house; the adapter is not yet started."""
    books = AccountingClient(tryton.url, tryton.database, SPECIFICATION.password)
    with proxies.running(tryton.url) as proxy, psycopg.connect(gateway.database_url, autocommit=True) as conn:
        house = House(gateway, tryton, proxy, books, context, conn, folder)
        try:
            yield house
        finally:
            house.kill()
            books.close()
