"""`python -m devtools`, which `./hub dev`, `./hub test` and `./hub docs` call."""

from devtools.cli import app

app()
