"""A running gateway on PostgreSQL: migrations, restarts and a changed password reach its connections.

The gateway is $POSTGREST_BIN, otherwise the stand-in.
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from adapters.common.tokens import mint
from hub import paths, postmaster, settings
from hub.cluster import Cluster
from hub.migrate import migrate
from hub.stack.layout import Stack
from tests.conftest import Clone
from tests.stack.conftest import Hub, command_line
from tests.support.context import make_context
from tests.support.gateway import running_gateway


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    """Runs the command line on a data folder of its own, with the gateway under test."""
    kind = "postgrest" if os.environ.get("POSTGREST_BIN") else "standin"
    with command_line(folder, HUB_GATEWAY=kind) as run:
        yield run


def eventually(check: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_gateway_recovers_from_restarts_and_follows_a_changed_password(hub: Hub, folder: Path) -> None:
    first = hub("up")
    assert first.returncode == 0, first.stderr
    chosen = settings.read(folder)
    url = chosen.gateway_url
    token = mint(chosen.jwt_secret.get_secret_value(), "erp", "5a000000-0000-4000-8000-000000000001")
    headers = {"Authorization": f"Bearer {token}"}

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/rpc/me", headers=headers, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def is_another() -> bool:
        return postmaster.running(pgdata) not in (None, before)

    assert answers()
    pgdata = Stack(folder, chosen).cluster.pgdata
    for number in (signal.SIGINT, signal.SIGQUIT):  # a fast and an immediate shutdown
        before = postmaster.running(pgdata)
        assert before
        os.kill(before, number)
        assert eventually(is_another), number
        assert eventually(answers), number

    changed = hub("up", HUB_AUTHENTICATOR_PASSWORD="p@ss/word:2")
    assert changed.returncode == 0, changed.stderr
    assert answers()
    assert hub("up").returncode == 0, "the password of hub.env again"
    assert answers()


def test_migration_reaches_prepared_statements_without_an_error(
    cluster: Cluster, clone: Clone, tmp_path: Path
) -> None:
    """Views and calls are dropped and recreated while the gateway holds prepared statements that use them."""
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn, partners=1, products=3)
        conn.execute("insert into app.brands (name) values ('Kirana')")
    sql_root = tmp_path / "sql"
    shutil.copytree(paths.sql_root(), sql_root)
    catalog = sql_root / "api" / "catalog.sql"
    text = catalog.read_text()
    assert "b.name" in text
    catalog.write_text(
        text.replace("b.name", "b.name, upper(b.name) as shouted", 1)
        + "create view api.loud_brands as select upper(b.name) as name from app.brands as b;\n"
        + "comment on view api.loud_brands is 'Brands';\n"
        + "grant select on api.loud_brands to partner;\n"
    )
    partner = context.partners[0]
    with running_gateway(cluster, url.rpartition("/")[2]) as gateway:
        headers = {"Authorization": f"Bearer {gateway.token(partner.role, partner.sub)}"}
        answers: list[httpx.Response] = []
        over = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
                while not over.is_set():
                    answers.append(client.get("/brands"))
                    answers.append(client.get("/orders?select=*,order_items(*)"))
                    body = {"items": [{"sku": context.skus[0], "quantity": 1}], "points": 0}
                    answers.append(client.post("/rpc/quote_order", json=body))

        def knows_new_view() -> bool:
            answer = httpx.get(f"{gateway.url}/loud_brands", headers=headers, trust_env=False)
            return answer.status_code == 200

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        try:
            assert eventually(lambda: len(answers) > 60)
            report = migrate(url, sql_root=sql_root)
            assert report.changed
            assert eventually(knows_new_view)
            so_far = len(answers)
            assert eventually(lambda: len(answers) > so_far + 60)
        finally:
            over.set()
            for thread in asking:
                thread.join()
    assert "shouted" in [a for a in answers if a.url.path == "/brands"][-1].json()[0]
    refused = {(a.status_code, a.text[:300]) for a in answers if a.status_code != 200}
    assert not refused
