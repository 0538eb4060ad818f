"""The environment of a failover drill: etcd, two nodes under Patroni, HAProxy, gateway and WhatsApp adapter.

All of them are child processes on loopback, under the account of servers.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from devtools.crash_test.programs import start_whatsapp
from devtools.failover import configs
from devtools.failover.configs import Node
from hub import paths, postgres, processes
from hub.cluster import cron_settings, new_password, tail
from hub.errors import UserError
from hub.migrate import migrate
from hub.osuser import Account, server_account
from hub.ports import HOST, next_free
from hub.stack import gateway as gateways

PROGRAMS = {"patroni": "patroni python3-etcd", "etcd": "etcd-server", "haproxy": "haproxy"}
"""The programs that the drill needs, and their Debian packages."""

DATABASE = "hub"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_MEMBERS = ("etcd1", "etcd2", "etcd3")
_WAIT_SECONDS = 90


def missing_programs() -> list[str]:
    """The Debian packages of the programs that are not installed."""
    return [package for name, package in PROGRAMS.items() if not shutil.which(name, path=_PATH)]


@dataclass
class Environment:
    """The programs, in `folder`."""

    folder: Path
    jwt_secret: str = field(default_factory=new_password)
    authenticator_password: str = field(default_factory=new_password)
    account: Account = field(default_factory=server_account)
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._passwords = {"postgres": new_password(), "replicator": new_password()}
        version = subprocess.run(["patroni", "--version"], capture_output=True, text=True, check=True).stdout
        self._protocol = configs.etcd_protocol(version)
        self._http = httpx.Client(trust_env=False, timeout=5)
        self.choice = gateways.choose("auto", paths.root() / ".cache" / "postgrest")
        self.nodes = [Node(f"node{i}", _port(21000 + 50 * i), _port(21200 + 50 * i)) for i in (1, 2)]
        self._etcd_ports = {
            name: (_port(21400 + 20 * i), _port(21500 + 20 * i)) for i, name in enumerate(_MEMBERS)
        }
        self.port = _port(21600)
        self._gateway_port, self._admin_port, self._whatsapp_port = _port(21650), _port(21700), _port(21750)

    @property
    def url(self) -> str:
        """URL of the database at the leader, as superuser, through HAProxy."""
        return self._superuser_url(DATABASE)

    def _superuser_url(self, database: str) -> str:
        return f"postgresql://postgres:{self._passwords['postgres']}@{HOST}:{self.port}/{database}"

    @property
    def caller_url(self) -> str:
        """URL of the database for callers that do not use the gateway."""
        return f"postgresql://authenticator:{self.authenticator_password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway."""
        return f"http://{HOST}:{self._gateway_port}"

    @property
    def delivered(self) -> Path:
        """The file to which the adapter appends each delivered message as a JSON line."""
        return self.folder / "delivered.jsonl"

    cache_url = None
    pages_url = None
    reports_url = None
    orders_folder = None

    def build(self) -> None:
        """Start every program, with an empty migrated database, and a standby that is synchronous."""
        for name in _MEMBERS:
            self._start_etcd(name)
        for node in self.nodes:
            self.start_node(node)
            self._await(lambda: self.leader() is not None, "there is no leader")
        config = self.folder / "haproxy.cfg"
        config.write_text(configs.haproxy(self.port, self.nodes))
        self._start("haproxy", ["haproxy", "-db", "-f", str(config)])
        self.await_standby()
        maintenance = self._superuser_url("postgres")
        self._await(lambda: _answers(maintenance), "HAProxy finds no leader")
        with psycopg.connect(maintenance, autocommit=True) as conn:
            conn.execute(f"create database {DATABASE}")
        migrate(self.url, jwt_secret=self.jwt_secret, authenticator_password=self.authenticator_password)
        gateway_config = gateways.GatewayConfig(
            self.caller_url, self.jwt_secret, self._gateway_port, self._admin_port
        )
        gateway_config.write(self.folder / "gateway.conf", gateways.account_for(self.choice))
        log = self.folder / "gateway.log"
        self._children["gateway"] = process = gateways.start(self.choice, self.folder / "gateway.conf", log)
        gateways.wait_ready(self.gateway_url, log, lambda: gateways.check_running(process, log))
        self._children["whatsapp"] = start_whatsapp(
            self.folder,
            gateway_url=self.gateway_url,
            jwt_secret=self.jwt_secret,
            port=self._whatsapp_port,
            delivered=self.delivered,
        )

    def _start(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                [shutil.which(command[0], path=_PATH) or command[0], *command[1:]],
                cwd="/",
                env=self.account.environment({"PATRONI_LOG_LEVEL": "INFO"}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self.account.popen_arguments(),
            )

    def _start_etcd(self, name: str) -> None:
        data = self.folder / name
        self.account.make_folder(data, 0o700)
        peers = {member: ports[1] for member, ports in self._etcd_ports.items()}
        client, peer = self._etcd_ports[name]
        self._start(name, ["etcd", *configs.etcd(name, str(data), client, peer, peers)])

    def pgdata(self, node: Node) -> Path:
        """PostgreSQL's data directory of a node."""
        return self.folder / node.name / "pgdata"

    def start_node(self, node: Node) -> None:
        """Start Patroni of a node, which starts PostgreSQL."""
        folder = self.folder / node.name
        self.account.make_folder(folder, 0o700)
        config = folder / "patroni.yml"
        text = configs.patroni(
            node,
            str(folder),
            str(postgres.bin_dir()),
            protocol=self._protocol,
            etcd_ports=[client for client, _ in self._etcd_ports.values()],
            settings=cron_settings(DATABASE),
            passwords=self._passwords,
        )
        self.account.write_private(config, text)
        self._start(node.name, ["patroni", str(config)])

    def members(self) -> dict[str, str]:
        """The role of each member that runs, as a member that answers sees it."""
        for node in self.nodes:
            try:
                found = self._http.get(f"http://{HOST}:{node.api_port}/cluster", timeout=2).json()
            except (httpx.HTTPError, ValueError):
                continue
            return {
                member["name"]: member["role"]
                for member in found.get("members", [])
                if member.get("state") in ("running", "streaming")
            }
        return {}

    def leader(self) -> Node | None:
        """The node that says of itself that it is the leader, with the lock of etcd."""
        for node in self.nodes:
            try:
                answer = self._http.get(f"http://{HOST}:{node.api_port}/primary", timeout=1)
            except httpx.HTTPError:
                continue
            if answer.status_code == 200:
                return node
        return None

    def await_leader(self, *, other_than: Node) -> None:
        """Wait until another node is the leader."""
        self._await(lambda: self.leader() not in (None, other_than), "no other node became the leader")

    def await_standby(self) -> None:
        """Wait until the other node is a synchronous standby."""
        self._await(lambda: "sync_standby" in self.members().values(), "there is no synchronous standby")

    def processes_of(self, node: Node) -> list[int]:
        """The processes of a node: Patroni and PostgreSQL."""
        child = self._children[node.name]
        patroni = [child.pid] if child.poll() is None else []
        return patroni + processes.working_in(self.pgdata(node))

    def signal(self, node: Node, number: signal.Signals) -> None:
        """Send a signal to every process of a node, Patroni first."""
        for pid in self.processes_of(node):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def kill(self, node: Node) -> None:
        """Kill a node, as if its machine had lost power."""
        self.signal(node, signal.SIGKILL)
        self._children[node.name].wait()
        self._await(lambda: not self.processes_of(node), f"processes of {node.name} do not end")

    def switch_over(self, leader: Node, candidate: Node) -> None:
        """Ask Patroni to make the standby the leader, as before maintenance. Raises UserError."""
        answer = self._http.post(
            f"http://{HOST}:{leader.api_port}/switchover",
            json={"leader": leader.name, "candidate": candidate.name},
            timeout=60,
        )
        if answer.status_code != 200:
            raise UserError(f"the switchover was refused: {answer.text}")

    def _await(self, condition: Any, problem: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(f"{n.name}:\n{tail(self.folder / f'{n.name}.log', 8)}" for n in self.nodes)
                raise UserError(f"{problem} after {_WAIT_SECONDS} seconds", hint=logs)
            time.sleep(0.1)

    def tear_down(self) -> None:
        """End every program that still runs."""
        for node in self.nodes:
            if node.name in self._children:
                self.signal(node, signal.SIGCONT)
        for name in reversed(self._children):
            processes.end(self._children[name], 30)
        for node in self.nodes:
            if node.name in self._children:
                processes.terminate(self.processes_of(node))
        self._http.close()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def _port(start: int) -> int:
    """A free port below those of outgoing connections."""
    return next_free(start + os.getpid() % 20)
