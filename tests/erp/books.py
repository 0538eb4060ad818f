"""A furnished Tryton for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from hub.cluster import Cluster
from hub.trytond import house as trytons
from hub.trytond.house import Server, Wishes
from tests import servers

STOCK = 1000
WISHES = Wishes(
    "PT Alfa Beauty Cosmetica",
    "for-tests-only-tryton",
    [
        {"sku": f"TRY-{n:03}", "name": f"Barang {n}", "price": 50_000 + 500 * n, "quantity": STOCK}
        for n in range(200)
    ],
)


def template(cluster: Cluster) -> str:
    """Name of the furnished template; made once, however many runs of the tests ask for it."""
    name = trytons.template_name(WISHES)
    with servers.locked(cluster.folder / "tryton"):
        _sweep(cluster, name)
        trytons.ensure_database(cluster, name, WISHES)
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
    name = servers.fresh_name("tryton")
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        conn.execute(
            sql.SQL("create database {} template {} owner {}").format(
                sql.Identifier(name), sql.Identifier(template(cluster)), sql.Identifier(trytons.ROLE)
            )
        )
        server = Server(cluster, name, servers.free_port(26500), folder)
        try:
            server.start()
            server.wait_up()
            yield server
        finally:
            server.kill()
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
