"""The command line: assembles the commands, each a module of its own that is loaded when it is called."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.console import complain
from hub.errors import UserError

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


def _call(module: str, function: str, *arguments: Any, **options: Any) -> None:
    """Import a command and run it; what a user can mend becomes a line, a hint and an exit code."""
    try:
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise UserError(f"this checkout has no {module}") from None
        getattr(loaded, function)(*arguments, **options)
    except UserError as error:
        raise typer.Exit(complain(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def up() -> None:
    """Bring the stack up on loopback: PostgreSQL, PgBouncer, the gateway, adapters; migrated."""
    _call("hub.commands.stack", "up")


@app.command()
def down() -> None:
    """Stop the stack; its data stays."""
    _call("hub.commands.stack", "down")


@app.command()
def status() -> None:
    """Show what runs where; exit code 3 if something does not."""
    _call("hub.commands.stack", "status")


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="postgres, gateway, ...; none: list them")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
) -> None:
    """Show the end of a program's log."""
    _call("hub.commands.stack", "logs", name, lines=lines, follow=follow)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Really.")] = False) -> None:
    """Drop the stack's database and make it anew."""
    _call("hub.commands.stack", "reset", yes=yes)


@app.command()
def doctor() -> None:
    """Check the machine, the stack and the database."""
    _call("hub.commands.doctor", "doctor")


@app.command()
def migrate(
    database: Annotated[str | None, typer.Option(help="URL, not through a pooler.")] = None,
    require_cron: Annotated[bool, typer.Option("--require-cron", help="Fail without pg_cron.")] = False,
) -> None:
    """Bring a database to the present: schema, functions, policies, api, jobs."""
    _call("hub.commands.migrate", "migrate", database, require_cron=require_cron)


@app.command()
def check(
    database: Annotated[str | None, typer.Option(help="URL, not through a pooler.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    since: Annotated[str | None, typer.Option(help="Compare the trail from then on: 2026-01-31.")] = None,
) -> None:
    """Check every promise of the data; exit code 1 if one is broken."""
    _call("hub.check", "run", database, as_json=json, since=since)


@app.command()
def repin() -> None:
    """Pin the SHA-256 of sql/schema files in migrations/ anew (before the first release)."""
    _call("hub.commands.migrate", "repin")


@app.command()
def docs(check: Annotated[bool, typer.Option("--check", help="Only say what is stale.")] = False) -> None:
    """Regenerate docs/schema.sql and the table of docs/error-codes.md."""
    _call("hub.commands.docs", "docs", check=check)


@app.command(context_settings=_PASS_ON)
def psql(context: typer.Context) -> None:
    """Open psql on the stack's database; further arguments are psql's."""
    _call("hub.commands.database", "psql", context.args)


@app.command()
def token(
    role: Annotated[str, typer.Argument(help="partner, agent, admin, superadmin, subdist, erp, messenger")],
    sub: Annotated[str | None, typer.Option(help="UUID of the row that the token speaks for.")] = None,
    minutes: Annotated[float, typer.Option(help="How long it lives.")] = 60,
) -> None:
    """Print a token for the gateway."""
    _call("hub.commands.database", "token", role, sub, minutes)


@jobs_app.command("list")
def jobs_list() -> None:
    """Show the jobs and when they run."""
    _call("hub.commands.database", "jobs_list")


@jobs_app.command("run")
def jobs_run(name: Annotated[str, typer.Argument(help="Its name, as `hub jobs list` shows it.")]) -> None:
    """Run a job now."""
    _call("hub.commands.database", "jobs_run", name)


@app.command("test", context_settings=_PASS_ON)
def run_tests(
    context: typer.Context, lint: Annotated[bool, typer.Option(help="Run the linters too.")] = True
) -> None:
    """Run ruff, mypy, sqlfluff and pytest; further arguments are pytest's."""
    _call("hub.commands.test", "test", context.args, lint=lint)


@app.command()
def demo(
    with_erp: Annotated[
        bool, typer.Option("--with-erp", help="With Tryton as the ERP: its stock, its sale, its payment.")
    ] = False,
) -> None:
    """Bring the stack up, load the catalogue, and live one order from price to points."""
    _call("hub.demo", "run", with_erp=with_erp)


@app.command()
def seed(database: Annotated[str | None, typer.Option(help="URL, not through a pooler.")] = None) -> None:
    """Load the demo's catalogue, partners, agents and sub-distributors."""
    _call("hub.seed", "run", database)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Three minutes at most.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Show what costs most instead.")] = False,
    outbox: Annotated[bool, typer.Option("--outbox", help="Only the outbox, beside a bare queue.")] = False,
    stock: Annotated[bool, typer.Option("--stock", help="Only a stock sync, beside COPY.")] = False,
    database: Annotated[str | None, typer.Option(help="Superuser's URL; none: a throwaway cluster.")] = None,
) -> None:
    """Measure submit_order, the outbox and a stock sync, beside the floor."""
    _call(
        "hub.bench",
        "run",
        quick=quick,
        json_file=json,
        database=database,
        profile_only=profile,
        outbox_only=outbox,
        stock_only=stock,
    )


@app.command()
def mutate(
    only: Annotated[list[str] | None, typer.Option(help="Part of a name, or a pattern; repeatable.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Only name the mutants.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the verdicts to this file.")] = None,
    processes: Annotated[int, typer.Option(help="How many at once.")] = 2,
    near: Annotated[bool, typer.Option("--near", help="Ask only the tests that speak of a mutant.")] = False,
) -> None:
    """Take one rule away at a time and see whether a test notices; exit code 1 if one survives."""
    _call(
        "hub.mutate",
        "run",
        only=only or [],
        list_only=list_only,
        json_file=json,
        processes=processes,
        near=near,
    )


@app.command()
def torture(
    kills: Annotated[int, typer.Option(help="How often to kill.", min=1, max=1000)] = 50,
    seed: Annotated[int | None, typer.Option(help="Repeat a run.")] = None,
    seconds: Annotated[float, typer.Option(help="Kill no more after so long.", max=7200)] = 900,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Kill -9 PostgreSQL and the workers under load (own throwaway cluster), and look what is lost."""
    _call("hub.torture", "run", kills=kills, seed=seed, seconds=seconds, json_file=json)
