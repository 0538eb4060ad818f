"""Fixtures of the stack's tests: a data folder, and a fake PostgREST."""

import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub import settings
from tests.support import test_cluster

FAKE_POSTGREST = f"""\
#!{shutil.which("python3", path="/usr/bin") or sys.executable}
import http.server, re, sys
if sys.argv[1] == "--version":
    print("PostgREST 14.17")
    sys.exit()
port = int(re.search(r"server-port = ([0-9]+)", open(sys.argv[1]).read())[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{{}}")
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


Hub = Callable[..., subprocess.CompletedProcess[str]]


def _own_ports() -> str:
    return "".join(
        f"HUB_{name.upper()}={test_cluster.free_port(20000 + 500 * i)}\n"
        for i, name in enumerate(settings.DEFAULT_PORTS)
    )


@contextmanager
def command_line(folder: Path, **variables: str) -> Iterator[Hub]:
    """The command line on this data folder, with these variables set; at the end the stack is down.

    The stack gets ports of its own: with the default ones, another stack could take a port while this
    one restarts a program.
    """
    environment = test_cluster.environment_without_settings()
    environment |= {"HUB_DATA_DIR": str(folder), **variables}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "up" and not settings.env_file(folder).exists():
            settings.env_file(folder).write_text(_own_ports())
        return subprocess.run(
            [sys.executable, "-m", "hub", *arguments],
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    run("down")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the servers' account can enter."""
    with test_cluster.scratch_folder() as made:
        yield made


@pytest.fixture
def fake_postgrest(folder: Path) -> Path:
    """A program that answers --version and every GET as PostgREST does."""
    program = folder / "postgrest"
    program.write_text(FAKE_POSTGREST)
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return program
