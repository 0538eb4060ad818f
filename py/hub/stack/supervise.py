"""supervisord, which runs the programs of a stack.

It is controlled over a loopback port with a password, because the path of a Unix socket is limited to 107
bytes.
"""

import http.client
import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults

from hub import processes
from hub.cluster import tail
from hub.environment import child_environment
from hub.errors import UserError
from hub.ports import HOST
from hub.stack.layout import Stack
from hub.stack.programs import Program

_USER = "hub"
_START_SECONDS = 20
_LOOK_SECONDS = 0.5
_ADAPTER_SETTINGS = (
    "HUB_WHATSAPP_",
    "HUB_SMTP_",
    "HUB_DELIVERY",
    "HUB_ERP_",
    "HUB_CACHE_",
    "HUB_REDIS_",
)


def config(stack: Stack, programs: list[Program]) -> str:
    """The text of supervisord.conf for these programs. Raises UserError for a path that it cannot contain."""
    settings = stack.settings
    head = f"""\
[supervisord]
logfile = {_escaped(stack.logs / "supervisord.log")}
pidfile = {_escaped(_pid_file(stack))}
childlogdir = {_escaped(stack.logs)}
directory = /
identifier = {_escaped(stack.folder)}
{"user = root" if os.geteuid() == 0 else ""}

[inet_http_server]
port = {HOST}:{settings.supervisor_port}
username = {_USER}
password = {_escaped(settings.supervisor_password.get_secret_value())}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    return head + "".join(_section(stack, program) for program in programs)


def _section(stack: Stack, program: Program) -> str:
    variables = {
        processes.MARK: str(stack.folder),
        "HUB_CONFIG_VERSION": program.version,
        **program.environment,
    }
    if program.account.switches:
        variables |= {
            "HOME": program.account.home,
            "USER": program.account.name,
            "LOGNAME": program.account.name,
        }
    # A shutdown of PostgreSQL writes a checkpoint, and its processes have groups of their own. Where it does
    # not start, as on a full disk, it is tried again for days.
    stopping = (
        """\
priority = 1
startretries = 1000
stopsignal = INT
stopwaitsecs = 600"""
        if program.is_server
        else """\
startretries = 2
stopwaitsecs = 15
stopasgroup = true
killasgroup = true"""
    )
    switches = os.geteuid() == 0 and not program.is_server
    environment = ",".join(f"{name}={_quoted(value)}" for name, value in variables.items())
    return f"""
[program:{program.name}]
command = {_escaped(shlex.join(program.command))}
directory = /
environment = {environment}
{f"user = {program.account.name}" if switches else ""}
autostart = false
autorestart = true
startsecs = 1
{stopping}
redirect_stderr = true
stdout_logfile = {_escaped(stack.logs / program.name)}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2
"""


def _escaped(value: object) -> str:
    """Escape a value: supervisord expands %(name)s, and ` ;` begins a comment."""
    text = str(value).replace("%", "%%")
    if " ;" in text or "\n" in text:
        raise UserError(
            f"supervisord.conf cannot contain '{text}'", hint="move the checkout to a path without ' ;'"
        )
    return text


def _quoted(value: str) -> str:
    return '"' + _escaped(value).replace('"', '\\"') + '"'


def _pid_file(stack: Stack) -> Path:
    return stack.run / "supervisord.pid"


class Supervisor:
    """The supervisord of a stack, over its XML-RPC port."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        settings = stack.settings
        login = f"{_USER}:{settings.supervisor_password.get_secret_value()}"
        self._rpc: Any = xmlrpc.client.ServerProxy(f"http://{login}@{HOST}:{settings.supervisor_port}/RPC2")

    def is_running(self) -> bool:
        """Whether the supervisord of this stack answers, and not another stack's."""
        try:
            return bool(self._rpc.supervisor.getIdentification() == str(self._stack.folder))
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False

    def states(self) -> dict[str, dict[str, Any]]:
        """The state of each program: `statename`, `pid`, `start` (Unix time in seconds), `description`."""
        return {entry["name"]: entry for entry in self._rpc.supervisor.getAllProcessInfo()}

    def bring_up(self, programs: list[Program]) -> list[str]:
        """Run exactly these programs; returns the names of those that were started or restarted."""
        conf = self._stack.run / "supervisord.conf"
        conf.touch(mode=0o600)
        conf.write_text(config(self._stack, programs))
        if self.is_running():
            self._update()
        else:
            self._start(conf)
        started = []
        states = self.states()
        for program in programs:
            if states[program.name]["statename"] not in ("RUNNING", "STARTING"):
                self._start_program(program.name)
                started.append(program.name)
        return started

    def _start_program(self, name: str) -> None:
        try:
            self._rpc.supervisor.startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            # The program has ended already. supervisord starts it again, and `check_not_failed` reports it if
            # that fails too.
            if fault.faultCode != Faults.SPAWN_ERROR:
                raise

    def terminate_orphans(self) -> None:
        """Terminate the programs of a killed supervisord, which still hold their ports."""
        processes.terminate(processes.marked(self._stack.folder))

    def _start(self, conf: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "hub.stack.supervisord", "-c", str(conf)],
            cwd="/",
            check=False,
            # Adapters read their settings from files: a variable that is unset later must not survive here.
            # PG* would redirect libpq in PostgreSQL's archive_command.
            env=child_environment(without=("PG", *_ADAPTER_SETTINGS)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running():
            if time.monotonic() > deadline:
                log = self._stack.logs / "supervisord.log"
                raise UserError("supervisord did not start", hint=f"end of {log}:\n{tail(log)}")
            time.sleep(0.05)

    def _update(self) -> None:
        """Load an edited configuration; a changed program is stopped, and started again by the caller."""
        added, changed, removed = self._rpc.supervisor.reloadConfig()[0]
        for name in [*changed, *removed]:
            self._rpc.supervisor.stopProcessGroup(name)
            self._rpc.supervisor.removeProcessGroup(name)
        for name in [*added, *changed]:
            self._rpc.supervisor.addProcessGroup(name)

    def remove(self, name: str) -> None:
        """Stop a program and forget it until the next `bring_up`, if it is known."""
        if name in self.states():
            self._rpc.supervisor.stopProcessGroup(name)
            self._rpc.supervisor.removeProcessGroup(name)

    def check_not_failed(self, name: str, log: Path) -> None:
        """Raise UserError if supervisord gave up restarting the program."""
        if self.states()[name]["statename"] == "FATAL":
            raise UserError(f"{name} exits as soon as it is started", hint=f"end of {log}:\n{tail(log)}")

    def wait_until_killed(self) -> None:
        """Wait until supervisord ends without a shutdown, which removes its pid file.

        After a shutdown, as by `hub down`, `reset` and `restore`, the next supervisord is waited for.
        """
        while True:
            try:
                pid = int(_pid_file(self._stack).read_text())
            except (OSError, ValueError):
                pid = None  # it was shut down, or is being started
            if pid and not processes.is_alive(pid):
                return
            time.sleep(_LOOK_SECONDS)

    def shut_down(self) -> bool:
        """Stop every program and supervisord; returns whether any of them was running."""
        running = self.is_running()
        if running:
            self._rpc.supervisor.shutdown()
            deadline = time.monotonic() + 30
            while self.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
        left = processes.marked(self._stack.folder)
        processes.terminate(left)
        return running or bool(left)
