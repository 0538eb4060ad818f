"""A Tryton sandbox: a provisioned database and a server on it."""

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
    """Name of the provisioned template database; concurrent runs of the tests share it."""
    name = tryton_server.template_name(SPECIFICATION)
    with test_cluster.locked(cluster.folder / "tryton"):
        _drop_outdated(cluster, name)
        tryton_server.ensure_database(cluster, name, SPECIFICATION)
    return name


def _drop_outdated(cluster: Cluster, keep: str) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        rows = conn.execute("select datname from pg_database where datname like 'tryton\\_%%'", []).fetchall()
        for (name,) in rows:
            if name != keep:
                conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def running(cluster: Cluster, folder: Path) -> Iterator[Server]:
    """trytond on a copy of the template, until the block ends."""
    with test_cluster.scratch_database(
        cluster, "tryton", template(cluster), owner=tryton_server.ROLE
    ) as database:
        server = Server(cluster, database, test_cluster.free_port(26500), folder)
        try:
            server.start()
            server.wait_up()
            yield server
        finally:
            server.kill()
