"""hub test: the linters, then pytest; hub dev long-form: the proofs that take longer."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from hub import paths
from hub.console import out, say
from hub.errors import UserError

LINTERS = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "mypy --strict": ("-m", "mypy"),
    "sqlfluff": ("-m", "sqlfluff", "lint", "--processes", "0", "sql"),
    "prose": ("-m", "devtools.prose"),
    "tsc --noEmit": ("-m", "devtools.typescript"),
}


def test(arguments: Sequence[str], *, lint: bool) -> None:
    """Run the linters, then pytest with `arguments`. Raises UserError that names what failed."""
    started = time.monotonic()
    failed = []
    if lint:
        failed = [name for name, command in LINTERS.items() if not _run(name, command)]
    if not _run("pytest", ("-m", "pytest", *workers(arguments), *arguments)):
        failed.append("pytest")
    took = f"{time.monotonic() - started:.0f} s"
    if failed:
        raise UserError(f"tests FAILED: {', '.join(failed)} ({took})", hint="their output is above")
    say(f"tests passed ({took})")


def long_form(arguments: Sequence[str]) -> None:
    """Run the tests that the suite leaves out because they are slow. Raises UserError when one fails."""
    started = time.monotonic()
    done = _run("long forms", ("-m", "pytest", "-m", "long_form", "--timeout=7200", *arguments))
    took = f"{time.monotonic() - started:.0f} s"
    if not done:
        raise UserError(f"long forms FAILED ({took})", hint="their output is above")
    say(f"long forms passed ({took})")


def workers(arguments: Sequence[str]) -> tuple[str, ...]:
    """Options for a run of all tests: one worker more than cores; tests of one file share its fixtures."""
    if arguments:
        return ()
    # One worker at a time waits for a clock, a restart or a scheduler.
    count = len(os.sched_getaffinity(0)) + 1
    return ("-n", str(count), "--dist", "loadfile", "--no-loadscope-reorder")


def _run(name: str, command: Sequence[str]) -> bool:
    out.rule(name, style="dim")
    sys.stdout.flush()
    done = subprocess.run([sys.executable, *command], cwd=paths.root(), check=False, env=dict(os.environ))
    return done.returncode == 0
