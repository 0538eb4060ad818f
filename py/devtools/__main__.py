"""`python -m devtools`, which `./hub dev`, `./hub test` and `./hub docs` call."""

import sys

from devtools.cli import app

app(prog_name="hub" if sys.argv[1:2] in (["test"], ["docs"]) else "hub dev")
