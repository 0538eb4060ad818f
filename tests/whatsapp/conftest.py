"""Meta's double, and settings of an adapter that takes it for Meta."""

from collections.abc import Iterator

import pytest

from adapters.whatsapp.settings import Settings
from tests.support.test_cluster import JWT_SECRET
from tests.whatsapp import fake_meta
from tests.whatsapp.fake_meta import Double


@pytest.fixture
def meta() -> Iterator[Double]:
    """The local Graph API."""
    with fake_meta.running() as running:
        yield running


@pytest.fixture
def told(meta: Double) -> Settings:
    """Settings with all credentials; no gateway."""
    return Settings(
        gateway_url="http://127.0.0.1:1",
        jwt_secret=JWT_SECRET,
        whatsapp_token=fake_meta.TOKEN,
        whatsapp_phone_number_id=fake_meta.PHONE_NUMBER_ID,
        whatsapp_app_secret=fake_meta.APP_SECRET,
        whatsapp_verify_token=fake_meta.VERIFY_TOKEN,
        whatsapp_graph_url=meta.url,
        whatsapp_api_version=fake_meta.VERSION,
        whatsapp_timeout_seconds=10,
    )
