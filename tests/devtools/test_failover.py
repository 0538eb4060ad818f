"""The failover drill: its configuration, its verdict, and in the long form the drill itself."""

import json
import time

import pytest

from devtools import failover
from devtools.crash_test.load import Acknowledged, Order
from devtools.crash_test.verify import Findings
from devtools.failover import configs
from devtools.failover.environment import missing_programs
from tests.support import test_cluster


@pytest.mark.parametrize(
    ("version", "protocol"),
    [
        ("patroni 3.0.2", "etcd"),
        ("patroni 3.0.3", "etcd3"),
        ("patroni 4.0.6", "etcd3"),
        ("patroni 2.1.7", "etcd"),
        ("?", "etcd"),
    ],
)
@pytest.mark.regression("patroni#2689")
def test_old_patroni_uses_the_protocol_in_which_a_frozen_leader_cannot_take_the_key_back(
    version: str, protocol: str
) -> None:
    """A leader that was frozen past its ttl overwrote the key of its successor, whose orders were lost."""
    assert configs.etcd_protocol(version) == protocol
    node = configs.Node("node1", 5432, 8008)
    text = configs.patroni(
        node,
        "/folder",
        "/bin",
        protocol=protocol,
        etcd_ports=[2379],
        settings={"cron.database_name": "hub"},
        passwords={"postgres": "x", "replicator": "y"},
    )
    config = json.loads(text)
    assert config[protocol] == {"hosts": ["127.0.0.1:2379"]}
    dynamic = config["bootstrap"]["dcs"]
    assert (dynamic["ttl"], dynamic["synchronous_mode"], dynamic["failsafe_mode"]) == (20, True, True)
    assert dynamic["postgresql"]["parameters"]["cron.database_name"] == "hub"
    assert "--enable-v2=true" in configs.etcd("etcd1", "/data", 1, 2, {"etcd1": 2})


def test_haproxy_sends_connections_to_the_leader_and_ends_those_to_a_former_one() -> None:
    text = configs.haproxy(5000, [configs.Node("node1", 5432, 8008), configs.Node("node2", 5433, 8009)])
    assert "http-check send meth OPTIONS uri /primary" in text
    assert "server node2 127.0.0.1:5433 check port 8009" in text
    assert "on-marked-down shutdown-sessions" in text


def test_longest_pause_between_acknowledged_orders_is_measured() -> None:
    acknowledged = Acknowledged()
    gaps = failover.Gaps(acknowledged)
    gaps.start()
    gaps.begin()
    time.sleep(0.4)
    acknowledged.orders.append(Order("p", "k", "id", 1))  # type: ignore[arg-type]
    time.sleep(0.15)
    gaps.stop()
    assert 0.3 < gaps.longest < 0.6


def test_lost_order_and_a_long_pause_are_violations() -> None:
    report = failover.Report(
        [failover.Outcome("killed", 30.1, 5, 60)], findings=Findings(violations=["lost"])
    )
    assert report.violations == ["killed: no order was acknowledged for 30.1 seconds", "lost"]
    assert failover.Report([failover.Outcome("killed", 29.9, 5, 60)]).violations == []


@pytest.mark.long_form
@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(missing_programs()), reason="Patroni, etcd or HAProxy is not installed")
def test_no_acknowledged_order_is_lost_when_the_leader_is_killed_frozen_or_switched_over() -> None:
    with test_cluster.scratch_folder() as folder:
        report = failover.drill(folder, progress=print)
    assert report.violations == []
    assert [outcome.fault for outcome in report.outcomes] == list(failover.FAULTS)
    assert report.findings.orders_acknowledged > 500
