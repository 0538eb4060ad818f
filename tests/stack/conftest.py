"""Fixtures of the stack's tests: a data folder, and a fake PostgREST."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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


@contextmanager
def command_line(folder: Path, **variables: str) -> Iterator[Hub]:
    """The command line on this data folder, with these variables set; at the end the stack is down."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")}
    environment |= {"HUB_DATA_DIR": str(folder), **variables}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
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
