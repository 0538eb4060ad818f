"""hub test: pytest with the linters beside it; hub dev long-form: the proofs that take longer."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

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


_NICENESS = 5
"""Of the linters, so that they use the time that the tests leave."""


def test(arguments: Sequence[str], *, lint: bool) -> None:
    """Run pytest with `arguments` and the linters beside it, whose output follows.

    Raises UserError that names what failed.
    """
    started = time.monotonic()
    failed = []
    # One linter at a time: several would slow down the tests that measure time.
    with ThreadPoolExecutor(1) as pool:
        linters = {name: pool.submit(_capture, command) for name, command in LINTERS.items() if lint}
        try:
            if not _run("pytest", ("-m", "pytest", *workers(arguments), *arguments)):
                failed.append("pytest")
            for name, linter in linters.items():
                succeeded, output = linter.result()
                out.rule(name, style="dim")
                sys.stdout.write(output)
                if not succeeded:
                    failed.append(name)
        except BaseException:  # Ctrl-C: do not start the remaining linters
            pool.shutdown(cancel_futures=True)
            raise
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


def _capture(command: Sequence[str]) -> tuple[bool, str]:
    """Whether a command succeeds, and its output."""
    done = subprocess.run(
        ["nice", "-n", str(_NICENESS), sys.executable, *command],
        cwd=paths.root(),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode == 0, done.stdout


def _run(name: str, command: Sequence[str]) -> bool:
    out.rule(name, style="dim")
    sys.stdout.flush()
    # Without compiled modules each of the hundreds of programs that tests start would compile them again.
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, *command], cwd=paths.root(), check=False, env=environment)
    return done.returncode == 0
