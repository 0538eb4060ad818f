"""A gateway process of the tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.common.tokens import key_set
from hub import paths, settings
from hub.cluster import Cluster
from hub.stack import gateway as gateways
from tests.support import test_cluster
from tests.support.client import RunningGateway


@contextmanager
def scratch_gateway(name: str) -> Iterator[tuple[Cluster, RunningGateway]]:
    """A cluster, and a gateway on its migrated database `name`, for a program that runs without pytest."""
    with (
        test_cluster.running_cluster() as cluster,
        test_cluster.scratch_database(
            cluster, name, template=test_cluster.ensure_template(cluster)
        ) as database,
        running_gateway(cluster, database) as gateway,
    ):
        yield cluster, gateway


@contextmanager
def running_gateway(cluster: Cluster, database: str, *former_keys: str) -> Iterator[RunningGateway]:
    """The gateway that HUB_GATEWAY names, on a migrated database of `cluster`, until the block ends.

    It accepts tokens that are signed with `former_keys`, too.
    """
    choice = gateways.choose(settings.read().gateway, paths.root() / ".cache" / "postgrest")
    with test_cluster.scratch_folder() as folder:
        url = cluster.url(database, "authenticator", test_cluster.AUTHENTICATOR_PASSWORD)
        port, admin_port = test_cluster.free_port(28000), test_cluster.free_port(29000)
        keys = key_set(test_cluster.JWT_SECRET, *former_keys)
        config = gateways.GatewayConfig(url, keys, port, admin_port)
        file, log = folder / "gateway.conf", folder / "gateway.log"
        config.write(file, gateways.account_for(choice))
        process = gateways.start(choice, file, log)
        try:
            base = f"http://{cluster.host}:{port}"
            gateways.wait_ready(base, log, lambda: gateways.check_running(process, log))
            yield RunningGateway(base, cluster.url(database), test_cluster.JWT_SECRET, choice.kind)
        finally:
            process.terminate()
            process.wait(10)
