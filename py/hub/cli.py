"""The command line: assembles the commands, each a module of its own that is loaded when it is called."""

from typing import Annotated

import typer

from hub.dispatch import call

app = typer.Typer(
    name="hub",
    help="The Digital Hub: bring it up, migrate it, try it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # what is no UserError is a defect: its traceback as Python prints it
)
jobs_app = typer.Typer(help="The scheduled jobs.", no_args_is_help=True)
app.add_typer(jobs_app, name="jobs")

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command()
def up() -> None:
    """Bring the stack up on loopback: PostgreSQL, PgBouncer, the gateway, adapters; migrated."""
    call("hub.commands.stack", "up")


@app.command()
def down() -> None:
    """Stop the stack; its data stays."""
    call("hub.commands.stack", "down")


@app.command()
def status() -> None:
    """Show what runs where; exit code 3 if something does not."""
    call("hub.commands.stack", "status")


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="postgres, gateway, ...; none: list them")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
) -> None:
    """Show the end of a program's log."""
    call("hub.commands.stack", "logs", name, lines=lines, follow=follow)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Really.")] = False) -> None:
    """Drop the stack's database and make it anew."""
    call("hub.commands.stack", "reset", yes=yes)


@app.command()
def doctor() -> None:
    """Check the machine, the stack and the database."""
    call("hub.commands.doctor", "doctor")


@app.command()
def migrate(
    database: Annotated[str | None, typer.Option(help="URL, not through a pooler.")] = None,
    require_cron: Annotated[bool, typer.Option("--require-cron", help="Fail without pg_cron.")] = False,
) -> None:
    """Bring a database to the present: schema, functions, policies, api, jobs."""
    call("hub.commands.migrate", "migrate", database, require_cron=require_cron)


@app.command()
def check(
    database: Annotated[str | None, typer.Option(help="URL, not through a pooler.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    since: Annotated[str | None, typer.Option(help="Compare the trail from then on: 2026-01-31.")] = None,
) -> None:
    """Check every promise of the data; exit code 1 if one is broken."""
    call("hub.check", "run", database, as_json=json, since=since)


@app.command(context_settings=_PASS_ON)
def psql(context: typer.Context) -> None:
    """Open psql on the stack's database; further arguments are psql's."""
    call("hub.commands.database", "psql", context.args)


@app.command()
def token(
    role: Annotated[str, typer.Argument(help="partner, agent, admin, superadmin, subdist, erp, messenger")],
    sub: Annotated[str | None, typer.Option(help="UUID of the row that the token speaks for.")] = None,
    minutes: Annotated[float, typer.Option(help="How long it lives.")] = 60,
) -> None:
    """Print a token for the gateway."""
    call("hub.commands.database", "token", role, sub, minutes)


@jobs_app.command("list")
def jobs_list() -> None:
    """Show the jobs and when they run."""
    call("hub.commands.database", "jobs_list")


@jobs_app.command("run")
def jobs_run(name: Annotated[str, typer.Argument(help="Its name, as `hub jobs list` shows it.")]) -> None:
    """Run a job now."""
    call("hub.commands.database", "jobs_run", name)


@app.command()
def demo() -> None:
    """Bring the stack up, load the demo data, and walk one order from quote to points."""
    call("hub.demo", "run")


@app.command()
def seed(database: Annotated[str | None, typer.Option(help="URL, not through a pooler.")] = None) -> None:
    """Load the demo's catalogue, partners, agents and sub-distributors."""
    call("hub.seed", "run", database)
