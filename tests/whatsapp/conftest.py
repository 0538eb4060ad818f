"""Fixtures: `meta` (the fake Meta server), `settings` (of an adapter that uses it), `seeded`, `enqueue`."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from adapters.whatsapp.settings import Settings
from hub.seed import load
from tests.support.client import RunningGateway
from tests.support.test_cluster import JWT_SECRET
from tests.whatsapp import fake_meta
from tests.whatsapp.fake_meta import FakeMeta

Enqueue = Callable[[int], list[str]]


@pytest.fixture
def meta() -> Iterator[FakeMeta]:
    """A running fake Meta server."""
    with fake_meta.running() as running:
        yield running


@pytest.fixture
def settings(meta: FakeMeta) -> Settings:
    """Settings with all credentials of the fake Meta server; the gateway is unreachable."""
    return Settings.model_validate(
        {
            "gateway_url": "http://127.0.0.1:1",
            "jwt_secret": JWT_SECRET,
            "whatsapp_token": fake_meta.TOKEN,
            "whatsapp_phone_number_id": fake_meta.PHONE_NUMBER_ID,
            "whatsapp_app_secret": fake_meta.APP_SECRET,
            "whatsapp_verify_token": fake_meta.VERIFY_TOKEN,
            "whatsapp_graph_url": meta.url,
            "whatsapp_api_version": fake_meta.VERSION,
            "whatsapp_timeout_seconds": 10,
        }
    )


@pytest.fixture(scope="module")
def demo_gateway(gateway: RunningGateway) -> RunningGateway:
    """The module's gateway, on the demo data."""
    load(gateway.database_url)
    return gateway


@pytest.fixture
def seeded(demo_gateway: RunningGateway) -> RunningGateway:
    """The module's gateway, on the demo data, with an empty outbox."""
    with psycopg.connect(demo_gateway.database_url) as conn:
        conn.execute("delete from app.messages")
    return demo_gateway


@pytest.fixture
def enqueue(seeded: RunningGateway) -> Enqueue:
    """`enqueue(n)` enqueues one message for each of n partners and returns the messages' ids."""

    def enqueue_messages(count: int) -> list[str]:
        with psycopg.connect(seeded.database_url) as conn:
            rows = conn.execute(
                "select app.enqueue_message('order_status', 'PARTNER', p.id, null,"
                ' \'{"order_number": "ORD-261123-000001", "status_text": "selesai"}\')::text'
                " from (select id from app.partners order by email limit %s) as p",
                [count],
            )
            return [row[0] for row in rows.fetchall()]

    return enqueue_messages
