"""The cache on a database of the tests, with a Redis of its own."""

import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import psycopg
from litestar import Litestar

from adapters.cache.app import create
from adapters.cache.settings import Settings
from adapters.common.tokens import mint
from hub import paths
from hub.osuser import server_account
from tests.support import test_cluster
from tests.support.context import Caller
from tests.support.waiting import wait_until

REDIS = shutil.which("redis-server") or shutil.which("valkey-server")


@dataclass
class RedisServer:
    """A real Redis on loopback, which a test kills, stops and starts."""

    folder: Path
    port: int
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:for-tests-only@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert REDIS
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", "for-tests-only"]
        arguments += ["--save", "", "--appendonly", "no", "--dir", str(self.folder), *self.options]
        account = server_account()
        self.process = subprocess.Popen(
            [REDIS, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env=account.environment(),
            **account.popen_arguments(),
        )
        wait_until(self._answers, 10)

    def _answers(self) -> bool:
        from redis import Redis  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            with Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextmanager
def redis_server(*options: str, start: bool = True) -> Iterator[RedisServer]:
    """A Redis until the block ends."""
    with test_cluster.scratch_folder() as folder:
        server = RedisServer(folder, test_cluster.free_port(31000), list(options))
        if start:
            server.start()
        try:
            yield server
        finally:
            server.kill()


def login(database_url: str) -> str:
    """The connection of the login `cache` to a database of the tests."""
    return psycopg.conninfo.make_conninfo(database_url, user="cache", password=test_cluster.CACHE_PASSWORD)


def values(database_url: str, redis: RedisServer | None = None, **more: Any) -> dict[str, Any]:
    """Settings of a cache by field name."""
    return {
        "jwt_secret": test_cluster.JWT_SECRET,
        "cache_database_url": login(database_url),
        "redis_url": redis.url if redis else "",
        **more,
    }


@dataclass
class RunningCache:
    """A cache in this process, and a client of it."""

    app: Litestar
    client: httpx.AsyncClient

    async def get(self, path: str, caller: Caller | None, **headers: str) -> httpx.Response:
        """Send a request of this caller; header names have underscores for hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(path, headers=bearer(caller) | sent)


def bearer(caller: Caller | None) -> dict[str, str]:
    """The Authorization header of a caller, none for anonymous requests."""
    if caller is None:
        return {}
    token = mint(test_cluster.JWT_SECRET, caller.role, caller.sub, minutes=10, **caller.extra)
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def running_cache(
    database_url: str, redis: RedisServer | None = None, **more: Any
) -> AsyncIterator[RunningCache]:
    """A cache in this process until the block ends."""
    app = create(Settings(**values(database_url, redis, **more)))
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://cache") as client,
    ):
        yield RunningCache(app, client)


@contextmanager
def cache_process(
    folder: Path, database_url: str, redis: RedisServer | None = None, **more: Any
) -> Iterator[str]:
    """A cache as a process of its own, as the stack runs it; returns its URL."""
    port = test_cluster.free_port(31300)
    environment = test_cluster.environment_without_settings()
    environment |= _variables(values(database_url, redis, cache_port=port, **more))
    environment["PYTHONPATH"] = str(paths.root() / "py")
    log = folder / f"cache-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "adapters.cache"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _is_ready(url), 20, interval=0.1, details=log.read_text)
        yield url
    finally:
        process.terminate()
        process.wait(15)


def _variables(settings: Mapping[str, Any]) -> dict[str, str]:
    return {f"HUB_{name.upper()}": str(value) for name, value in settings.items()}


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
