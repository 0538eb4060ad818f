"""A running stand-in: schema reloads, a database that goes away, a full pool, PgBouncer."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from hub.cluster import Cluster
from hub.osuser import server_account
from hub.ports import HOST
from hub.stack import pgbouncer
from tests.standin.conftest import Server, Start, authenticator_uri, standin_command
from tests.standin.corpus import Answer, Client, differences
from tests.standin.test_corpus import CASES, LEFT_OUT
from tests.support import test_cluster

AGENT = {"jwt": {"role": "standin_agent", "region": 2, "exp": "+3600"}, "secret": "main"}


def eventually(check: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.1)
    return False


def get(server: Server, path: str, headers: dict[str, object] | None = None) -> Answer:
    client = server.client()
    try:
        return client.ask({"method": "GET", "path": path, "headers": headers or {}})
    finally:
        client.close()


def add_function(url: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        made = sql.SQL("create function api.{}() returns int stable language sql as 'select 1'")
        conn.execute(made.format(sql.Identifier(name)))


# -- identification


def test_the_log_states_that_it_is_a_standin(standin: Server) -> None:
    answer = get(standin, "/rpc/ping")
    assert answer.headers["server"] == "hub-standin"
    assert "STAND-IN" in standin.log.read_text().splitlines()[0]


def test_the_admin_port_reports_live_and_ready(standin: Server) -> None:
    admin = Client(standin.admin_url)
    assert [admin.send("GET", path).status for path in ("/live", "/ready", "/products")] == [200, 200, 404]
    admin.close()


def test_openapi_can_be_switched_off(cluster: Cluster, corpus_database: str, start_server: Start) -> None:
    uri = authenticator_uri(cluster, corpus_database)
    server = start_server(uri, command=standin_command(), openapi_mode="disabled")
    assert get(server, "/").status == 404
    server.stop()


def test_openapi_names_the_proxy(cluster: Cluster, corpus_database: str, start_server: Start) -> None:
    uri = authenticator_uri(cluster, corpus_database)
    server = start_server(uri, command=standin_command(), openapi_server_proxy_uri="https://shop.example/v1")
    page = get(server, "/").json
    assert (page["host"], page["basePath"], page["schemes"]) == ("shop.example:443", "/v1", ["https"])
    server.stop()


def test_db_max_rows_limits_every_list(cluster: Cluster, corpus_database: str, start_server: Start) -> None:
    uri = authenticator_uri(cluster, corpus_database)
    server = start_server(uri, command=standin_command(), db_max_rows=2)
    assert get(server, "/products?select=sku&limit=5").headers["content-range"] == "0-1/*"
    server.stop()


# -- the schema cache


def test_notify_reloads_the_schema(cluster: Cluster, own_database: str, standin: Server) -> None:
    add_function(cluster.url(own_database), "newcomer")
    assert get(standin, "/rpc/newcomer").status == 404
    with psycopg.connect(cluster.url(own_database), autocommit=True) as conn:
        conn.execute("notify pgrst, 'reload schema'")
    assert eventually(lambda: get(standin, "/rpc/newcomer").status == 200)


def test_sigusr1_reloads_the_schema(cluster: Cluster, own_database: str, standin: Server) -> None:
    add_function(cluster.url(own_database), "newcomer")
    standin.process.send_signal(signal.SIGUSR1)
    assert eventually(lambda: get(standin, "/rpc/newcomer").status == 200)


# -- database failures


def test_dead_idle_connections_are_not_used(cluster: Cluster, own_database: str, standin: Server) -> None:
    with psycopg.connect(cluster.url(own_database), autocommit=True) as conn:
        for _ in range(3):
            assert get(standin, "/rpc/ping").status == 200
            conn.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
    assert get(standin, "/rpc/ping").status == 200


def test_the_standin_recovers_from_a_database_restart(
    cluster: Cluster, own_database: str, standin: Server
) -> None:
    name = sql.Identifier(own_database)
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        conn.execute(sql.SQL("alter database {} allow_connections false").format(name))
        conn.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [own_database]
        )
        started = time.monotonic()
        answer = get(standin, "/rpc/ping")
        assert (answer.status, answer.json["code"]) == (503, "PGRST000")
        assert time.monotonic() - started < 5
        admin = Client(standin.admin_url)
        assert [admin.send("GET", path).status for path in ("/live", "/ready")] == [200, 503]
        conn.execute(sql.SQL("alter database {} allow_connections true").format(name))
    assert eventually(lambda: get(standin, "/rpc/ping").status == 200)
    assert eventually(lambda: admin.send("GET", "/ready").status == 200)
    admin.close()


def test_the_standin_starts_before_the_database(
    cluster: Cluster, own_database: str, start_server: Start
) -> None:
    name = sql.Identifier(own_database)
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        conn.execute(sql.SQL("alter database {} allow_connections false").format(name))
        server = start_server(authenticator_uri(cluster, own_database), command=standin_command(), wait=False)
        assert eventually(lambda: _refused(server))
        conn.execute(sql.SQL("alter database {} allow_connections true").format(name))
    server.wait_ready()
    assert get(server, "/rpc/ping").status == 200
    server.stop()


def _refused(server: Server) -> bool:
    try:
        answer = get(server, "/rpc/ping")
    except OSError:
        return False
    assert (answer.status, answer.json["code"]) == (503, "PGRST002")
    return True


def test_a_backend_killed_during_a_request_is_503(
    cluster: Cluster, own_database: str, standin: Server
) -> None:
    with psycopg.connect(cluster.url(own_database)) as blocker, ThreadPoolExecutor() as pool:
        blocker.execute("lock table shop.products in access exclusive mode")
        waiting = pool.submit(get, standin, "/products")
        with psycopg.connect(cluster.url(own_database), autocommit=True) as killer:
            assert eventually(
                lambda: bool(
                    killer.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity"
                        " where application_name = 'hub-standin' and wait_event_type = 'Lock'"
                    ).rowcount
                )
            )
        assert waiting.result(15).status == 503
    assert eventually(lambda: get(standin, "/products").status == 200)


def test_a_full_pool_is_504(cluster: Cluster, own_database: str, start_server: Start) -> None:
    """Of either gateway: the stand-in answers as PostgREST does."""
    uri = authenticator_uri(cluster, own_database)
    server = start_server(uri, db_pool=1, db_pool_acquisition_timeout=1)
    with psycopg.connect(cluster.url(own_database)) as blocker, ThreadPoolExecutor() as pool:
        blocker.execute("lock table shop.products in access exclusive mode")
        first = pool.submit(get, server, "/products")
        assert eventually(lambda: get(server, "/rpc/ping").status == 504)
        started = time.monotonic()
        assert get(server, "/rpc/ping").json == {
            "code": "PGRST003",
            "message": "Timed out acquiring connection from connection pool.",
            "details": None,
            "hint": None,
        }
        assert 0.9 < time.monotonic() - started < 3
        blocker.rollback()
        assert first.result(15).status == 200
    assert get(server, "/rpc/ping").status == 200
    server.stop()


def test_a_transaction_that_always_fails_to_serialize_ends(standin: Server) -> None:
    client = standin.client()
    for state in ("40001", "40P01"):
        answer = client.ask({"method": "POST", "path": "/rpc/refuse_with", "body": {"state": state}})
        assert (answer.status, answer.json["code"]) == (500, state)
        assert "gave up" in answer.json["details"]
    client.close()


def test_role_settings_apply_to_requests(standin: Server, cluster: Cluster, own_database: str) -> None:
    """statement_timeout of the role ends a statement that waits."""
    with psycopg.connect(cluster.url(own_database)) as blocker:
        blocker.execute("lock table shop.products in access exclusive mode")
        started = time.monotonic()
        answer = get(standin, "/products", {"Authorization": AGENT})
    assert (answer.status, answer.json["code"]) == (500, "57014")
    assert 3 < time.monotonic() - started < 8


# -- PgBouncer


@pytest.fixture
def bouncer(cluster: Cluster, own_database: str) -> Iterator[str]:
    """The database through PgBouncer in transaction mode, with fewer connections than there are callers."""
    if not shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])):
        pytest.skip("pgbouncer is not installed")
    port = test_cluster.free_port(31600)
    account = server_account()
    folder = cluster.folder / f"bouncer-{os.getpid()}"
    folder.mkdir(mode=0o755)
    files = {
        "users": f'"standin_authenticator" "standin-password"\n"{cluster.superuser}" "{cluster.password}"\n',
        "ini": (
            f"[databases]\n* = host={cluster.host} port={cluster.port}\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder / 'users'}\npool_mode = transaction\n"
            "default_pool_size = 3\n"
        ),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        account.own(folder / name)
    process = subprocess.Popen(
        [pgbouncer.program(), folder / "ini"], stderr=subprocess.DEVNULL, cwd="/", **account.popen_arguments()
    )
    yield f"postgres://standin_authenticator:standin-password@{HOST}:{port}/{own_database}"
    process.send_signal(signal.SIGTERM)
    process.wait(15)
    shutil.rmtree(folder)


@pytest.fixture
def pooled(bouncer: str, cluster: Cluster, own_database: str, start_server: Start) -> Iterator[Server]:
    """A stand-in behind PgBouncer."""
    server = start_server(
        bouncer,
        command=standin_command(),
        db_prepared_statements=False,
        db_pool=10,
        hub_listen_uri=authenticator_uri(cluster, own_database),
    )
    yield server
    server.stop()


def test_the_core_passes_through_pgbouncer(pooled: Server, cluster: Cluster, own_database: str) -> None:
    client = pooled.client()
    with psycopg.connect(cluster.url(own_database), autocommit=True) as database:
        for case in CASES.values():
            if case.core and not case.continues and case.id not in LEFT_OUT:
                if case.writes:
                    database.execute("select shop.reset()")
                assert not differences(case, client.ask(case.request)), case
                if case.writes:
                    database.execute("select shop.reset()")
    client.close()


def test_callers_behind_pgbouncer_never_see_each_other(pooled: Server) -> None:
    """Roles, claims and settings end with the transaction; errors in between make no difference."""
    subs = [f"5a000000-0000-4000-8000-00000000000{n}" for n in range(1, 6)]

    def one_caller(sub: str) -> set[tuple[str, str]]:
        client = pooled.client()
        claims = {"role": "standin_salon", "sub": sub, "exp": "+3600"}
        headers = {"Authorization": {"jwt": claims, "secret": "main"}}
        seen = set()
        for _ in range(30):
            answer = client.ask({"method": "GET", "path": "/rpc/whoami", "headers": headers})
            assert answer.status == 200, answer.text
            seen.add((answer.json["role"], answer.json["sub"]))
            refused = client.ask({"method": "POST", "path": "/rpc/refuse_plain", "headers": headers})
            assert refused.status == 400
            assert client.ask({"method": "GET", "path": "/rpc/whoami"}).json["sub"] is None
        client.close()
        return seen

    with ThreadPoolExecutor(len(subs)) as pool:
        for sub, seen in zip(subs, pool.map(one_caller, subs), strict=True):
            assert seen == {("standin_salon", sub)}


def test_the_schema_reloads_behind_pgbouncer(pooled: Server, cluster: Cluster, own_database: str) -> None:
    add_function(cluster.url(own_database), "newcomer")
    with psycopg.connect(cluster.url(own_database), autocommit=True) as conn:
        conn.execute("notify pgrst, 'reload schema'")
    assert eventually(lambda: get(pooled, "/rpc/newcomer").status == 200)


def test_the_standin_stops_within_seconds(standin: Server) -> None:
    started = time.monotonic()
    standin.process.send_signal(signal.SIGTERM)
    standin.process.wait(10)
    assert time.monotonic() - started < 5
    assert "Traceback" not in Path(standin.log).read_text()
