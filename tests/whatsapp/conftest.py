"""Meta's double, and settings of an adapter that takes it for Meta."""

from collections.abc import Iterator

import pytest

from adapters.whatsapp.settings import Settings
from tests.servers import JWT_SECRET
from tests.whatsapp import double as doubles
from tests.whatsapp.double import Double


@pytest.fixture
def meta() -> Iterator[Double]:
    """The local Graph API."""
    with doubles.running() as running:
        yield running


@pytest.fixture
def told(meta: Double) -> Settings:
    """Settings with all credentials; no gateway."""
    return Settings(
        gateway_url="http://127.0.0.1:1",
        jwt_secret=JWT_SECRET,
        whatsapp_token=doubles.TOKEN,
        whatsapp_phone_number_id=doubles.PHONE_NUMBER_ID,
        whatsapp_app_secret=doubles.APP_SECRET,
        whatsapp_verify_token=doubles.VERIFY_TOKEN,
        whatsapp_graph_url=meta.url,
        whatsapp_api_version=doubles.VERSION,
        whatsapp_timeout_seconds=10,
    )
