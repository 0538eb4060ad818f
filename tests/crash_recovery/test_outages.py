"""Redis, PgBouncer, Meta, SMTP and the ERP away at once: orders go on, and all recovers by itself."""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from adapters.common.tokens import mint
from devtools.crash_test.environment import Environment, settings_for
from devtools.crash_test.load import Acknowledged, Order, under_load
from devtools.crash_test.programs import Programs
from devtools.crash_test.verify import drain, verify
from hub import paths
from hub.cluster import Cluster
from hub.ports import HOST
from tests.conftest import Clone
from tests.support import test_cluster
from tests.support.context import Connection, approve, broken_invariants, make_context
from tests.support.waiting import wait_until
from tests.whatsapp import fake_meta
from tests.whatsapp.fake_meta import FakeMeta
from tests.whatsapp.test_mail import FakeSmtpServer, running_server

OUTAGE_SECONDS = 30
ANSWER_SECONDS = 10
"""A caller has an answer, or an error, within this time."""


@dataclass
class Surroundings:
    """What is around the database: the programs, and the providers that they use."""

    meta: FakeMeta
    mail: FakeSmtpServer
    _smtp: ExitStack
    programs: Programs = field(init=False)

    @property
    def variables(self) -> dict[str, str]:
        """Variables of the adapters that name the providers."""
        return {
            "HUB_WHATSAPP_TOKEN": fake_meta.TOKEN,
            "HUB_WHATSAPP_PHONE_NUMBER_ID": fake_meta.PHONE_NUMBER_ID,
            "HUB_WHATSAPP_APP_SECRET": fake_meta.APP_SECRET,
            "HUB_WHATSAPP_VERIFY_TOKEN": fake_meta.VERIFY_TOKEN,
            "HUB_WHATSAPP_GRAPH_URL": self.meta.url,
            "HUB_SMTP_HOST": HOST,
            "HUB_SMTP_PORT": str(self.mail.port),
            "HUB_SMTP_SECURITY": "none",
        }

    def use(self, programs: Programs) -> None:
        """Use these programs, which are not started yet."""
        self.programs = programs
        self.meta.webhook_url = f"http://{HOST}:{programs.settings.whatsapp_port}/webhook"

    def deliveries(self) -> list[str]:
        """The ids of the messages that the providers accepted."""
        mails = [mail["Message-ID"].removeprefix("<").partition("@")[0] for mail in self.mail.mails]
        return [message["biz_opaque_callback_data"] for message in self.meta.accepted] + mails

    def leave(self) -> None:
        """Take everything away but PostgreSQL, the gateway and the adapters."""
        self.meta.outage = 503
        self._smtp.close()
        self._drop_folder().rename(self.programs.folder / "away")
        for kind in ("redis", "pooler"):
            self.programs.stop(kind)

    def come_back(self) -> None:
        """Let everything come back; no program is restarted that has not been away."""
        for kind in ("redis", "pooler"):
            self.programs.start(kind)
        (self.programs.folder / "away").rename(self._drop_folder())
        self._smtp.enter_context(running_server(self.mail))
        self.meta.outage = 0

    def _drop_folder(self) -> Path:
        return self.programs.orders_folder.parent


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """Providers that run; the programs are set later."""
    with fake_meta.running() as meta, ExitStack() as smtp:
        made = Surroundings(meta, FakeSmtpServer(port=test_cluster.free_port(27600)), smtp)
        smtp.enter_context(running_server(made.mail))
        yield made


def health(port: int) -> tuple[int, dict[str, Any]]:
    """Status and body of an adapter's health."""
    answer = httpx.get(f"http://{HOST}:{port}/health/", trust_env=False, timeout=ANSWER_SECONDS)
    return answer.status_code, answer.json()


def assert_callers_are_answered(programs: Programs, partner: str, email: str, sku: str) -> list[Order]:
    """What callers see while everything around is away; returns what they ordered."""
    token = mint(programs.jwt_secret, "partner", partner, minutes=20)
    bearer = {"Authorization": f"Bearer {token}"}
    orders = []
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as http:
        for _ in range(3):
            key = str(uuid.uuid4())
            body = {"items": [{"sku": sku, "quantity": 1}], "idempotency_key": key}
            answer = http.post(f"{programs.gateway_url}/rpc/submit_order", json=body, headers=bearer)
            assert answer.status_code == 200, answer.text
            order = json.loads(answer.text, parse_float=Decimal)
            orders.append(Order(partner, key, order["id"], Decimal(order["grand_total"])))
        reset = http.post(f"{programs.gateway_url}/rpc/request_password_reset", json={"email": email})
        assert (reset.status_code, reset.json()["sent"]) == (200, True), reset.text
        for path in ("/catalogue", "/configs", "/stock"):
            answer = http.get(programs.cache_url + path, headers=bearer)
            assert answer.status_code == 200, answer.text
    started = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(programs.caller_url, connect_timeout=ANSWER_SECONDS)
    assert time.monotonic() - started < 1
    return orders


def assert_adapters_report(programs: Programs) -> None:
    """Each adapter names what is away, and is not ready only where it cannot work at all."""
    chosen = programs.settings

    def cache_is_degraded() -> bool:
        status, body = health(chosen.cache_port)
        return (status, body["status"], body["checks"]["redis"]["ok"]) == (200, "degraded", False)

    def channels_rest() -> bool:
        status, body = health(chosen.whatsapp_port)
        return status == 200 and "ok" not in body["channels"].values()

    def erp_is_in_trouble() -> bool:
        status, body = health(chosen.erp_port)
        return status == 503 and "is the share mounted?" in body["checks"]["erp"]["detail"]

    wait_until(cache_is_degraded, 20, interval=0.05)
    wait_until(channels_rest, 20, interval=0.05)
    wait_until(erp_is_in_trouble, 20, interval=0.05)


def recovery(around: Surroundings, conn: Connection, seconds: float, *, backlog: bool) -> dict[str, float]:
    """Let everything come back; returns the seconds from then until each part worked."""
    programs = around.programs
    chosen = programs.settings

    def pooled() -> bool:
        psycopg.connect(programs.caller_url, connect_timeout=5).close()
        return True

    def count(rows: str) -> int:
        return int(conn.execute(f"select count(*) from {rows}".encode()).fetchall()[0][0])

    pending = "app.messages where status in ('PENDING', 'CLAIMED', 'UNKNOWN')"
    exported = count("app.orders where erp_reference is not null")
    mails, accepted = len(around.mail.mails), len(around.meta.accepted)
    waits: dict[str, Callable[[], Any]] = {
        "PgBouncer": pooled,
        "Redis": lambda: health(chosen.cache_port)[1]["status"] == "ok",
        "first order in the ERP": lambda: count("app.orders where erp_reference is not null") > exported,
        "first e-mail": lambda: len(around.mail.mails) > mails,
        "first message": lambda: len(around.meta.accepted) > accepted,
        "every adapter": lambda: health(chosen.erp_port)[0] == 200 == health(chosen.whatsapp_port)[0],
    }
    if backlog:
        waits["all messages"] = lambda: count(pending) == 0
        waits["all orders in the ERP"] = lambda: (
            count("app.orders where status = 'APPROVED' and erp_reference is null") == 0
        )
    took: dict[str, float] = {}
    around.come_back()
    started = time.monotonic()
    while waits:
        for name in [name for name, condition in waits.items() if condition()]:
            took[name] = round(time.monotonic() - started, 1)
            del waits[name]
        assert time.monotonic() < started + seconds, f"not back: {', '.join(waits)}; back: {took}"
        time.sleep(0.05)
    return took


def test_outage_of_everything_around_costs_no_order_and_no_message(cluster: Cluster, clone: Clone) -> None:
    """The short form: a few orders."""
    url = clone()
    chosen = settings_for(
        urlsplit(url).path.lstrip("/"),
        cluster.port,
        jwt_secret=test_cluster.JWT_SECRET,
        authenticator_password=test_cluster.AUTHENTICATOR_PASSWORD,
        cache_password=test_cluster.CACHE_PASSWORD,
    )
    with (
        test_cluster.scratch_folder() as folder,
        surroundings() as around,
        psycopg.connect(url, autocommit=True) as conn,
    ):
        context = make_context(conn, erp="csv")
        around.use(Programs(folder, url, chosen, around.variables))
        try:
            around.programs.start_all()
            around.leave()
            buyer = str(context.partners[0].sub)
            orders = assert_callers_are_answered(around.programs, buyer, "salon0@hub.test", "SKU-000")
            for order in orders:
                approve(conn, context, {"id": order.id})
            assert_adapters_report(around.programs)
            recovery(around, conn, 30, backlog=True)
            acknowledged = Acknowledged()
            acknowledged.take_exported(around.programs.orders_folder)
        finally:
            around.programs.tear_down()
        assert len(acknowledged.exported) == len(orders)
        sent = conn.execute("select id::text from app.messages where status <> 'WITHDRAWN'").fetchall()
        assert sorted(around.deliveries()) == sorted(row[0] for row in sent)
        assert broken_invariants(conn) == {}


@pytest.mark.long_form
@pytest.mark.timeout(900)
def test_long_outage_of_everything_around_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    # The load has few recipients; the limit of each, at Meta and in the adapter, is not what is tested here.
    monkeypatch.setattr(fake_meta, "PAIR_SECONDS", 0)
    monkeypatch.setattr(Environment, "messenger_module", "tests.whatsapp.unlimited")
    acknowledged = Acknowledged()
    with test_cluster.scratch_folder(on_disk=True) as folder, surroundings() as around:
        defaults = {
            "HUB_WHATSAPP_POLL_SECONDS": "0.5",
            "HUB_ERP_POLL_SECONDS": "5",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(paths.root()), os.environ.get("PYTHONPATH")])),
        }
        environment = Environment(folder, {**around.variables, **defaults})
        around.use(environment)
        try:
            environment.build()
            with (
                psycopg.connect(environment.url, autocommit=True) as conn,
                under_load(environment, acknowledged, partners=6, seed=1, people=2),
            ):
                acknowledged.await_orders(30, 90)
                around.leave()
                partner = acknowledged.orders[0].partner
                orders = assert_callers_are_answered(environment, partner, "salon0@crash.test", "T-00")
                acknowledged.requested += [(order.partner, order.key) for order in orders]
                acknowledged.orders += orders
                assert_adapters_report(environment)
                acknowledged.await_orders(30, 60)
                time.sleep(OUTAGE_SECONDS)
                waiting = conn.execute(
                    "select count(*) from app.messages where status = 'PENDING'"
                ).fetchone()
                took = recovery(around, conn, 120, backlog=False)
                acknowledged.await_orders(30, 60)
            with psycopg.connect(environment.url, autocommit=True) as conn:
                started = time.monotonic()
                assert drain(conn, 120)
                took["everything, after the load ended"] = round(time.monotonic() - started, 1)
                acknowledged.take_exported(environment.orders_folder)
                lines = [json.dumps({"id": message}) for message in around.deliveries()]
                environment.delivered.write_text("\n".join(lines))
                found = verify(conn, acknowledged, environment.delivered)
        finally:
            environment.tear_down()
    assert found.violations == []
    assert acknowledged.retries["direct"] > 0
    refused = {name: acknowledged.retries[name] for name in ("gateway", "cache")}
    assert refused == {"gateway": 0, "cache": 0}, "a caller saw an error"
    assert acknowledged.slowest["gateway"] < ANSWER_SECONDS > acknowledged.slowest["cache"]
    print(f"{found.lines()}; {waiting} messages waited; recovery: {took}; {acknowledged.seen()}")
