"""The gateway on the demo data, and a WhatsApp adapter beside it."""

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

from hub.demo import Narrator, Stage
from hub.ports import next_free
from hub.seed import load
from tests.support.client import RunningGateway


@dataclass
class Theatre:
    """A stage to open, and what was said on it."""

    open: Callable[..., AbstractContextManager[Stage]]
    output: io.StringIO

    @property
    def said(self) -> str:
        return self.output.getvalue()


@pytest.fixture(scope="module")
def messages(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a running adapter at the module's gateway, whose database holds the demo data."""
    load(gateway.database_url)
    folder = tmp_path_factory.mktemp("whatsapp")
    environment = dict(os.environ) | {
        "HUB_GATEWAY_URL": gateway.url,
        "HUB_JWT_SECRET": gateway.jwt_secret,
        "HUB_WHATSAPP_PORT": str(next_free(39970)),
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
def theatre(gateway: RunningGateway, messages: Path) -> Theatre:
    """Everything for a story, headless."""
    output = io.StringIO()

    @contextmanager
    def stage(messages: Path = messages, patience: float = 30) -> Iterator[Stage]:
        with Stage.open(
            Narrator(Console(file=output, width=80, highlight=False, soft_wrap=True)),
            gateway_url=gateway.url,
            database_url=gateway.database_url,
            jwt_secret=gateway.jwt_secret,
            messages=messages,
            patience=patience,
        ) as made:
            yield made

    return Theatre(stage, output)
