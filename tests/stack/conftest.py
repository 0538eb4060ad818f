"""What the stack's tests share: a data folder of their own, and a program that passes for PostgREST."""

import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import paths
from hub.osuser import server_account

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


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the servers' account can enter (pytest's own is private to root)."""
    real = paths.make_data_dir()[0] / f"scratch-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    real.mkdir(mode=0o755)
    server_account().own(real)
    yield real
    shutil.rmtree(real)


@pytest.fixture
def fake_postgrest(folder: Path) -> Path:
    """A program that answers --version and GET as PostgREST does."""
    program = folder / "postgrest"
    program.write_text(FAKE_POSTGREST)
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return program
