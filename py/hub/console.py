"""How the command line speaks: one console, one form of error."""

from rich.console import Console

from hub.errors import UserError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line as it is (brackets are not markup)."""
    out.print(text, markup=False)


def complain(error: UserError) -> int:
    """Print what a user can mend; returns the exit code."""
    err.print(f"hub: {error.message}", style="red", markup=False)
    if error.hint:
        err.print(f"  {error.hint}", markup=False)
    return error.code
