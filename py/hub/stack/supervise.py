"""supervisord, our process manager.

It is controlled over a loopback port with a password: the path of a Unix socket may be 107 bytes long, and
checkouts lie deeper than that.
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

from hub import processes
from hub.cluster import tail
from hub.errors import UserError
from hub.ports import HOST
from hub.stack.layout import Stack
from hub.stack.programs import Program

_USER = "hub"
_START_SECONDS = 20
_TOLD = ("HUB_WHATSAPP_", "HUB_SMTP_", "HUB_ERP_")


def config(stack: Stack, programs: list[Program]) -> str:
    """supervisord.conf for these programs."""
    settings = stack.settings
    head = f"""\
[supervisord]
logfile = {_escaped(stack.logs / "supervisord.log")}
pidfile = {_escaped(stack.run / "supervisord.pid")}
childlogdir = {_escaped(stack.logs)}
directory = /
identifier = {_escaped(stack.folder)}
{"user = root" if os.geteuid() == 0 else ""}

[inet_http_server]
port = {HOST}:{settings.supervisor_port}
username = {_USER}
password = {_escaped(settings.supervisor_password)}

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
    environment = ",".join(f"{name}={_quoted(value)}" for name, value in variables.items())
    return f"""
[program:{program.name}]
command = {_escaped(shlex.join(program.command))}
directory = /
environment = {environment}
{f"user = {program.account.name}" if os.geteuid() == 0 else ""}
autostart = false
autorestart = true
startsecs = 1
startretries = 2
stopwaitsecs = 15
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {_escaped(stack.logs / program.name)}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2
"""


def _escaped(value: object) -> str:
    """supervisord expands %(name)s everywhere, and takes what follows ` ;` for a comment."""
    text = str(value).replace("%", "%%")
    if " ;" in text or "\n" in text:
        raise UserError(f"supervisord cannot be told of '{text}'", hint="move the checkout to a plainer path")
    return text


def _quoted(value: str) -> str:
    return '"' + _escaped(value).replace('"', '\\"') + '"'


class Supervisor:
    """Our supervisord, over its XML-RPC port."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        settings = stack.settings
        login = f"{_USER}:{settings.supervisor_password}"
        self._rpc: Any = xmlrpc.client.ServerProxy(f"http://{login}@{HOST}:{settings.supervisor_port}/RPC2")

    def is_running(self) -> bool:
        """Whether the supervisord of this very stack answers."""
        try:
            return bool(self._rpc.supervisor.getIdentification() == str(self._stack.folder))
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False

    def states(self) -> dict[str, dict[str, Any]]:
        """What each program is doing: `statename`, `pid`, `start` (seconds of Unix time), `description`."""
        return {entry["name"]: entry for entry in self._rpc.supervisor.getAllProcessInfo()}

    def bring_up(self, programs: list[Program]) -> list[str]:
        """Have exactly these programs running; returns the names of those that were (re)started."""
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
                self._rpc.supervisor.startProcess(program.name, False)
                started.append(program.name)
        return started

    def end_orphans(self) -> None:
        """End programs of a supervisord that was killed: they still hold their ports."""
        processes.end(processes.marked(self._stack.folder))

    def _start(self, conf: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
            cwd="/",
            check=False,
            # What adapters are told stands in their own files: what is no longer set must not live on here.
            env={k: v for k, v in os.environ.items() if not k.startswith(_TOLD)},
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
        """Take over an edited configuration: what changed is stopped, to be started anew."""
        added, changed, removed = self._rpc.supervisor.reloadConfig()[0]
        for name in [*changed, *removed]:
            self._rpc.supervisor.stopProcessGroup(name)
            self._rpc.supervisor.removeProcessGroup(name)
        for name in [*added, *changed]:
            self._rpc.supervisor.addProcessGroup(name)

    def refuse_failed(self, name: str, log: Path) -> None:
        """Raise UserError if supervisord has given the program up."""
        if self.states()[name]["statename"] == "FATAL":
            raise UserError(f"{name} ends as soon as it is started", hint=f"end of {log}:\n{tail(log)}")

    def signal(self, name: str, number: str) -> None:
        """Send a signal (such as "USR1") to a program."""
        self._rpc.supervisor.signalProcess(name, number)

    def shut_down(self) -> bool:
        """Stop every program and supervisord itself; returns whether it was running."""
        running = self.is_running()
        if running:
            self._rpc.supervisor.shutdown()
            deadline = time.monotonic() + 30
            while self.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
        left = processes.marked(self._stack.folder)
        processes.end(left)
        return running or bool(left)
