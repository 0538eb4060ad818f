"""A PostgreSQL cluster for one run of a tool."""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hub import paths
from hub.cluster import Cluster, new_password
from hub.ports import next_free


@contextmanager
def scratch_cluster(
    what: str, first_port: int, settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A running cluster in the data folder, removed at the end; `first_port` is the first that is tried."""
    folder = paths.make_data_dir()[0] / f"{what}-{secrets.token_hex(3)}"
    cluster = Cluster(folder, next_free(first_port), new_password(), settings=settings or {})
    try:
        cluster.initialise()
        cluster.start()
        yield cluster
    finally:
        if cluster.pgdata.exists():
            cluster.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
