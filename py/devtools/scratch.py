"""A folder, or a PostgreSQL cluster, for one run of a tool."""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hub import paths
from hub.cluster import Cluster, new_password
from hub.osuser import server_account
from hub.ports import next_free


def make_folder(what: str, parent: Path | None = None) -> Path:
    """A new folder in `parent`, or in the data folder, which the servers' account can enter."""
    folder = (parent or paths.make_data_dir()[0]) / f"{what}-{secrets.token_hex(3)}"
    server_account().make_folder(folder)
    return folder


@contextmanager
def scratch_cluster(
    what: str, first_port: int, settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A running cluster in the data folder, removed at the end; `first_port` is the first that is tried."""
    port = next_free(first_port)
    cluster = Cluster(make_folder(what), port, new_password(), settings=settings or {})
    try:
        cluster.initialise()
        cluster.start()
        yield cluster
    finally:
        if cluster.pgdata.exists():
            cluster.stop("immediate")
        shutil.rmtree(cluster.folder, ignore_errors=True)
