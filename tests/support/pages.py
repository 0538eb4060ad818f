"""The pages of web/, built and served before a gateway, as `./hub up` serves them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from hub import pages
from hub.environment import child_environment
from hub.pages import workspace
from hub.ports import HOST
from hub.stack.gateway import wait_ready
from tests.support import test_cluster
from tests.support.client import RunningGateway


@dataclass(frozen=True)
class Site:
    """The pages at `url` and the gateway behind them."""

    url: str
    gateway: RunningGateway

    def connect(self) -> psycopg.Connection[Any]:
        """A superuser's connection to the database, in autocommit."""
        return psycopg.connect(self.gateway.database_url, autocommit=True)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query as a superuser; none for a command."""
        with self.connect() as conn:
            cursor = conn.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        found = self.rows(query, *values)
        return found[0][0] if found else None

    def rpc(self, token: str, call: str, **arguments: Any) -> Any:
        """Call a function through the pages' origin; fails unless it succeeds."""
        answer = httpx.post(
            f"{self.url}api/rpc/{call}",
            json=arguments,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def running_pages(gateway: RunningGateway, *apps: str) -> Iterator[Site]:
    """Build `apps` unless they are built, and serve the pages until the block ends."""
    with workspace.locked():
        for app in apps:
            workspace.build_app(app)
    with test_cluster.scratch_folder() as folder:
        port = test_cluster.free_port(27000)
        log = folder / "pages.log"
        environment = child_environment(
            {
                "HUB_PAGES_ROOT": str(pages.folder()),
                "HUB_PAGES_PORT": str(port),
                "HUB_GATEWAY_URL": gateway.url,
            }
        )
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "adapters.pages"], env=environment, stdout=out, stderr=out
            )
        try:
            url = f"http://{HOST}:{port}/"
            wait_ready(f"{url}health/live", log, lambda: None, "pages")
            yield Site(url, gateway)
        finally:
            process.terminate()
            process.wait(10)
