"""Output of the command line: standard output, standard error, and the form of an error."""

from rich.console import Console

from hub.errors import UserError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line to standard output without interpreting markup."""
    out.print(text, markup=False)


def print_error(error: UserError) -> int:
    """Print an error and its hint to standard error; returns the exit code."""
    err.print(f"hub: {error.message}", style="red", markup=False)
    if error.hint:
        err.print(f"  {error.hint}", markup=False)
    return error.code
