"""The command line: assembles the commands, each a module of its own that is loaded when it is called."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from hub.console import complain
from hub.errors import UserError

app = typer.Typer(
    name="hub",
    help="The Digital Hub: bring it up, migrate it, try it.",
    no_args_is_help=True,
    add_completion=False,
)


def _call(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Run a command; what a user can mend becomes one line and an exit code."""
    try:
        function(*arguments, **options)
    except UserError as error:
        raise typer.Exit(complain(error)) from None


@app.command()
def migrate(
    database: Annotated[
        str | None, typer.Option(help="URL of a direct connection; default: the stack's.")
    ] = None,
    require_cron: Annotated[bool, typer.Option(help="Fail where pg_cron is not to be had.")] = False,
) -> None:
    """Bring a database to the present: schema, functions, policies, api, jobs."""
    from hub.commands.migrate import migrate as run  # noqa: PLC0415

    _call(run, database, require_cron=require_cron)


@app.command()
def repin() -> None:
    """Pin the SHA-256 of sql/schema files in migrations/ anew (before the first release)."""
    from hub.commands.migrate import repin as run  # noqa: PLC0415

    _call(run)
