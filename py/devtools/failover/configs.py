"""The configuration of Patroni, etcd and HAProxy: that of the drill, and the one that the docs recommend."""

import json
import re
from dataclasses import dataclass
from typing import Any

from hub.ports import HOST

DYNAMIC: dict[str, Any] = {
    "ttl": 20,
    "loop_wait": 5,
    "retry_timeout": 5,
    "maximum_lag_on_failover": 1048576,
    # An acknowledged order is on both machines; without a standby, the leader goes on alone.
    "synchronous_mode": True,
    # etcd away: the leader goes on as long as it reaches all members.
    "failsafe_mode": True,
}
"""Patroni's settings of the whole cluster, apart from PostgreSQL's."""


_SAFE_WITH_ETCD3 = (3, 0, 3)


def etcd_protocol(patroni_version: str) -> str:
    """The key of Patroni's section for etcd: `etcd3`, or `etcd` (version 2) for a Patroni older than 3.0.3.

    With etcd3, an older leader that was frozen past its ttl overwrites the key of the one elected
    meanwhile (patroni#2689), and what that one acknowledged is lost. Version 2 of the protocol compares.
    """
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", patroni_version)
    version = tuple(int(part) for part in found.groups()) if found else (0, 0, 0)
    return "etcd3" if version >= _SAFE_WITH_ETCD3 else "etcd"


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, here a pair of loopback ports."""

    name: str
    port: int
    api_port: int


def patroni(
    node: Node,
    folder: str,
    bin_dir: str,
    *,
    protocol: str,
    etcd_ports: list[int],
    settings: dict[str, str],
    passwords: dict[str, str],
) -> str:
    """A node's configuration, as JSON, which is YAML, too.

    `protocol` is that of `etcd_protocol`, `passwords` are those of postgres and replicator.
    """
    hosts = [
        "host all all 127.0.0.1/32 scram-sha-256",
        "host replication replicator 127.0.0.1/32 scram-sha-256",
    ]
    value = {
        "scope": "hub",
        "name": node.name,
        "restapi": {"listen": f"{HOST}:{node.api_port}", "connect_address": f"{HOST}:{node.api_port}"},
        protocol: {"hosts": [f"{HOST}:{port}" for port in etcd_ports]},
        "bootstrap": {
            "dcs": DYNAMIC
            | {
                "postgresql": {
                    "use_pg_rewind": True,
                    "use_slots": True,
                    "parameters": {"max_connections": 100, "max_slot_wal_keep_size": "2GB", **settings},
                }
            },
            "initdb": [
                {"encoding": "UTF8"},
                {"locale": "C.UTF-8"},
                {"auth": "scram-sha-256"},
                "data-checksums",
            ],
        },
        "postgresql": {
            "listen": f"{HOST}:{node.port}",
            "connect_address": f"{HOST}:{node.port}",
            "data_dir": f"{folder}/pgdata",
            "bin_dir": bin_dir,
            "pgpass": f"{folder}/pgpass",
            "authentication": {
                "superuser": {"username": "postgres", "password": passwords["postgres"]},
                "replication": {"username": "replicator", "password": passwords["replicator"]},
            },
            "pg_hba": hosts,
            "parameters": {
                "unix_socket_directories": "",
                "timezone": "UTC",
                "random_page_cost": 1.1,
                "log_error_verbosity": "terse",
            },
        },
    }
    return json.dumps(value, indent=2)


def etcd(name: str, folder: str, client_port: int, peer_port: int, peers: dict[str, int]) -> list[str]:
    """The arguments of an etcd member; `peers` are the peer ports of all members by name."""
    cluster = ",".join(f"{peer}=http://{HOST}:{port}" for peer, port in peers.items())
    return [
        f"--name={name}",
        f"--data-dir={folder}",
        f"--listen-client-urls=http://{HOST}:{client_port}",
        f"--advertise-client-urls=http://{HOST}:{client_port}",
        f"--listen-peer-urls=http://{HOST}:{peer_port}",
        f"--initial-advertise-peer-urls=http://{HOST}:{peer_port}",
        f"--initial-cluster={cluster}",
        "--initial-cluster-token=hub",
        "--enable-v2=true",  # for a Patroni older than 3.0.3
        "--log-level=warn",
    ]


def haproxy(port: int, nodes: list[Node]) -> str:
    """HAProxy's configuration: connections to `port` reach the leader, and end when it is one no longer."""
    servers = "".join(
        f"    server {node.name} {HOST}:{node.port} check port {node.api_port}\n" for node in nodes
    )
    return f"""\
global
    maxconn 500
defaults
    mode tcp
    retries 2
    timeout connect 4s
    timeout client 30m
    timeout server 30m
    timeout check 3s
listen primary
    bind {HOST}:{port}
    option httpchk
    http-check send meth OPTIONS uri /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"""
