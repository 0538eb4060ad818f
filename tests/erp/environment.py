"""An environment for the adapter: the hub's gateway, a Tryton sandbox behind a proxy that injects faults."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psycopg

from devtools.tryton.accounting_client import AccountingClient
from devtools.tryton.server import ADAPTER, Server
from hub.ports import next_free
from tests.erp.sandbox import SPECIFICATION
from tests.support import proxy as proxies
from tests.support.adapter_process import AdapterProcess
from tests.support.client import RunningGateway
from tests.support.context import Context, approve, broken_invariants, line, submit
from tests.support.proxy import Proxy
from tests.support.queries import stock
from tests.support.test_cluster import environment_without_settings
from tests.support.waiting import wait_until

TIMEOUT, SETTLE = 2.0, 3.0
"""Seconds; in production 60 and 120. Every call to Tryton takes less on an idle machine."""


@dataclass
class Environment(AdapterProcess):
    """The running parts; `start` runs the adapter."""

    NAME: ClassVar[str] = "erp"

    gateway: RunningGateway
    tryton: Server
    proxy: Proxy
    accounting: AccountingClient
    context: Context
    conn: psycopg.Connection[Any]
    folder: Path
    port: int = field(default_factory=lambda: next_free(27400 + os.getpid() % 400))
    extra: dict[str, str] = field(default_factory=dict)
    """Further environment variables of the adapter."""
    started_with: dict[str, str] = field(default_factory=dict)
    """The `extra` of the running adapter."""

    def settings(self) -> dict[str, str]:
        """The adapter's settings, as environment variables."""
        return {
            "HUB_GATEWAY_URL": self.gateway.url,
            "HUB_JWT_SECRET": self.gateway.jwt_secret,
            "HUB_LISTEN_URL": self.gateway.database_url,
            "HUB_ERP_KIND": "tryton",
            "HUB_ERP_PORT": str(self.port),
            "HUB_ERP_URL": self.proxy.url,
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
        """The adapter's log."""
        return self.folder / "adapter.log"

    def start(self) -> None:
        """Start the adapter without waiting for it; restart it if `extra` has changed."""
        if self.process and self.process.poll() is None and self.started_with == self.extra:
            return
        self.kill()
        self.started_with = dict(self.extra)
        super().start()

    def once(self) -> subprocess.CompletedProcess[str]:
        """Run every stream once."""
        return subprocess.run(
            [sys.executable, "-m", "adapters.erp", "--once"],
            env=environment_without_settings()
            | self.settings()
            | {"HUB_ERP_SETTLE_SECONDS": "0", "HUB_ERP_TIMEOUT_SECONDS": "60"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def health(self) -> dict[str, Any] | None:
        """The body of /health; None while the adapter does not answer."""
        with suppress(httpx.HTTPError):
            body: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/health", trust_env=False).json()
            return body
        return None

    def order(self, sku: str = "TRY-001", quantity: int = 2, partner: int = 0) -> dict[str, Any]:
        """Submit and approve an order; its invoice is under "invoice"."""
        order = submit(self.conn, self.context.partners[partner], [line(sku, quantity)])
        return order | {"invoice": approve(self.conn, self.context, order)}

    def value(self, query: str, *values: Any) -> Any:
        """The first column of the first row; None without a row."""
        row = self.conn.execute(query, values or None).fetchone()
        return row[0] if row else None

    def erp_reference(self, order: dict[str, Any]) -> str | None:
        """The ERP's number of an exported order."""
        found = self.value("select erp_reference from app.orders where id = %s", order["id"])
        return None if found is None else str(found)

    def display_stock(self, sku: str) -> int:
        """The units that the hub can sell."""
        return stock(self.conn, sku)[1]

    def wait_until(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """The first true value of `condition`; a failure shows the adapter's log."""

        def log() -> str:
            return self.log.read_text()[-3000:] if self.log.exists() else ""

        return wait_until(condition, seconds, interval=0.05, details=log)

    def wait_until_exported(self, order: dict[str, Any], seconds: float = 60) -> str:
        """Wait until the ERP has an order; returns the ERP's number."""
        return str(self.wait_until(lambda: self.erp_reference(order), seconds))

    def assert_one_sale_per_order(self) -> None:
        """Every approved order has one sale, every sale has its order, and the hub's invariants hold."""
        approved = (
            "select order_number from app.orders where status in ('APPROVED', 'SHIPPED', 'COMPLETED')"
            " or id in (select order_id from app.erp_cancellations where outcome = 'REFUSED')"
        )
        orders = sorted(row[0] for row in self.conn.execute(approved).fetchall())
        sales = [
            row["reference"]
            for row in self.accounting.rows(
                "sale.sale", [["state", "!=", "cancelled"]], "reference", "shipments.state"
            )
            if not row["shipments."] or any(s["state"] != "cancelled" for s in row["shipments."])
        ]
        assert sorted(sales) == orders
        assert broken_invariants(self.conn) == {}


@contextmanager
def running(gateway: RunningGateway, tryton: Server, context: Context, folder: Path) -> Iterator[Environment]:
    """An environment whose adapter is not started yet; `folder` keeps its log."""
    accounting = AccountingClient(tryton.url, tryton.database, SPECIFICATION.password)
    with proxies.running(tryton.url) as proxy, psycopg.connect(gateway.database_url, autocommit=True) as conn:
        environment = Environment(gateway, tryton, proxy, accounting, context, conn, folder)
        try:
            yield environment
        finally:
            environment.kill()
            accounting.close()
