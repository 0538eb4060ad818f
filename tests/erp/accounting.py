"""A furnished Tryton for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from devtools.tryton import server as tryton_server
from devtools.tryton.server import Server, Specification
from hub.cluster import Cluster
from tests.support import test_cluster

STOCK = 1000
SPECIFICATION = Specification(
    "PT Alfa Beauty Cosmetica",
    "for-tests-only-tryton",
    [
        {"sku": f"TRY-{n:03}", "name": f"Barang {n}", "price": 50_000 + 500 * n, "quantity": STOCK}
        for n in range(200)
    ],
)


def template(cluster: Cluster) -> str:
    """Name of the furnished template; made once, however many runs of the tests ask for it."""
    name = tryton_server.template_name(SPECIFICATION)
    with test_cluster.locked(cluster.folder / "tryton"):
        _sweep(cluster, name)
        tryton_server.ensure_database(cluster, name, SPECIFICATION)
    return name


def _sweep(cluster: Cluster, keep: str) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        rows = conn.execute("select datname from pg_database where datname like 'tryton\\_%%'", []).fetchall()
        for (name,) in rows:
            if name != keep:
                conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def running(cluster: Cluster, folder: Path) -> Iterator[Server]:
    """trytond on a copy of the template."""
    name = test_cluster.fresh_name("tryton")
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        conn.execute(
            sql.SQL("create database {} template {} owner {}").format(
                sql.Identifier(name), sql.Identifier(template(cluster)), sql.Identifier(tryton_server.ROLE)
            )
        )
        server = Server(cluster, name, test_cluster.free_port(26500), folder)
        try:
            server.start()
            server.wait_up()
            yield server
        finally:
            server.kill()
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
