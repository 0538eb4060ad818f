"""The demo without a stack: the tests' gateway with the demo data, and a running WhatsApp adapter."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from hub.demo import DemoContext, Erp, Narrator
from hub.ports import next_free
from hub.seed import load
from tests.support.client import RunningGateway


@dataclass
class DemoRunner:
    """Opens contexts of the demo and collects what they print."""

    open: Callable[..., AbstractContextManager[DemoContext]]
    _buffer: io.StringIO

    @property
    def output(self) -> str:
        return self._buffer.getvalue()


@pytest.fixture(scope="module")
def messages(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a running adapter at the module's gateway, whose database holds the demo data."""
    load(gateway.database_url)
    folder = tmp_path_factory.mktemp("whatsapp")
    environment = dict(os.environ) | {
        "HUB_GATEWAY_URL": gateway.url,
        "HUB_JWT_SECRET": gateway.jwt_secret,
        "HUB_WHATSAPP_PORT": str(next_free(39970)),
        "HUB_DELIVERY": "console",
        "HUB_WHATSAPP_FILE": str(folder / "messages.jsonl"),
        "HUB_WHATSAPP_POLL_SECONDS": "0.1",
    }
    with (folder / "log").open("wb") as log:
        adapter = subprocess.Popen(
            [sys.executable, "-m", "adapters.whatsapp"], env=environment, stdout=log, stderr=log
        )
    try:
        yield folder / "messages.jsonl"
    finally:
        adapter.terminate()
        adapter.wait(20)


@pytest.fixture
def runner(gateway: RunningGateway, messages: Path) -> DemoRunner:
    """Everything that the demo needs, without a terminal."""
    buffer = io.StringIO()

    @contextmanager
    def open_context(
        messages: Path = messages, delivery_seconds: float = 30, erp: Erp | None = None
    ) -> Iterator[DemoContext]:
        with DemoContext.open(
            Narrator(Console(file=buffer, width=80, highlight=False, soft_wrap=True)),
            gateway_url=gateway.url,
            database_url=gateway.database_url,
            jwt_secret=gateway.jwt_secret,
            messages=messages,
            erp=erp,
            delivery_seconds=delivery_seconds,
        ) as context:
            yield context

    return DemoRunner(open_context, buffer)
