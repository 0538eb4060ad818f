"""The catalogue from the cache, beside the same columns of the view `products` through the gateway."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from psycopg import conninfo, sql

from devtools.bench import gateway
from devtools.bench.environment import Environment
from devtools.bench.errors import BenchError
from devtools.bench.gateway import Tick
from devtools.bench.results import Row
from hub.cluster import new_password
from hub.environment import child_environment
from hub.ports import HOST, next_free
from hub.stack import gateway as gateways

CLIENTS = 16
CALLS = ("catalogue", "catalogue_known")
"""Requests of the cache: a whole body, and one that the client has already (304)."""

SECONDS = 6

_VIEW = "catalogue_view"
_FIRST_PORT = 28250


def measure(environment: Environment, repetitions: int, tick: Tick, seconds: float = SECONDS) -> list[Row]:
    """Measure one process of the cache without Redis, which is not on the path of its requests.

    Raises BenchError without wrk, and for an answer that is no success.
    """
    secret = new_password()
    with (
        gateway.scratch_folder() as folder,
        gateway.serving(environment, folder, secret) as view_url,
        _login(environment) as database_url,
        _serving(folder, database_url, secret) as cache_url,
    ):
        gateway.write_tokens(environment, folder, secret)
        _write_etags(folder, cache_url)
        for url, name in ((view_url, _VIEW), *((cache_url, call) for call in CALLS)):
            gateway.load(url, folder, name, CLIENTS, 1)
        environment.settle(analyze=True)
        rows = [Row(f"cache_{name}", CLIENTS) for name in CALLS]
        for _ in range(repetitions):
            view = gateway.load(view_url, folder, _VIEW, CLIENTS, seconds)
            for row, name in zip(rows, CALLS, strict=True):
                row.add(view, gateway.load(cache_url, folder, name, CLIENTS, seconds))
                tick(f"{row.name}: {row.ours[-1].tps:,.0f}/s, the view {view.tps:,.0f}/s")
        return rows


@contextmanager
def _login(environment: Environment) -> Iterator[str]:
    """The connection of a login that may do what `cache` may, whose own password stays as it is."""
    name, password = f"{urlsplit(environment.hub).path.lstrip('/')}_cache", new_password()
    with environment.admin(environment.hub) as conn:
        conn.execute(
            sql.SQL("create role {} login in role cache password {}").format(
                sql.Identifier(name), sql.Literal(password)
            )
        )
        try:
            yield conninfo.make_conninfo(environment.hub, user=name, password=password)
        finally:
            conn.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@contextmanager
def _serving(folder: Path, database_url: str, secret: str) -> Iterator[str]:
    port = next_free(_FIRST_PORT)
    url, log = f"http://{HOST}:{port}", folder / "cache.log"
    settings = {
        "HUB_CACHE_DATABASE_URL": database_url,
        "HUB_CACHE_PORT": str(port),
        "HUB_JWT_SECRET": secret,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "adapters.cache"],
            env=child_environment(settings, without=("HUB_CACHE_", "HUB_REDIS_")),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        gateways.wait_ready(
            f"{url}/health/ready", log, lambda: gateways.check_running(process, log, "cache"), "cache"
        )
        yield url
    finally:
        process.terminate()
        process.wait(15)


def _write_etags(folder: Path, url: str) -> None:
    """Write the ETags of all partners' price lists, which a request that has one of them sends back."""
    etags = set()
    for token in (folder / "tokens.txt").read_text().split()[:50]:
        answer = httpx.get(f"{url}/catalogue", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        if answer.status_code != 200:
            raise BenchError(f"the cache answers {answer.status_code}", hint=answer.text)
        etags.add(answer.headers["ETag"])
    (folder / "etags.txt").write_text(", ".join(sorted(etags)) + "\n")
