"""The command line: assembles the commands, each in a module that is loaded when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from hub import __version__
from hub.dispatch import call

EPILOG = """\
For developers: ./hub test, ./hub docs, ./hub dev; each has --help.

The script ./hub installs what a command needs: it lists what is missing, and
asks first if standard input is a terminal. Its options precede or follow the
command:
  --yes             do not ask before installing; also HUB_YES=1 or CI=1
  --verbose         show the output of apt-get and pip
  HUB_NO_INSTALL=1  install no Debian packages
  HUB_PG_BIN=DIR    use the PostgreSQL programs in DIR
  PYTHON=PROGRAM    create .venv with this Python, 3.11 or newer

Exit codes:
  0              success
  1              failure, with a message on standard error
  2              wrong usage
  3              status: a program of the stack is down
  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM
"""


def show_version(value: bool) -> None:
    """Print the version and exit, for `--version`."""
    if value:
        typer.echo(__version__)
        raise typer.Exit


app = typer.Typer(
    name="hub",
    help="Run the Digital Hub: start, migrate, check and try it.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # other exceptions than UserError are defects: show the traceback
)
replica_app = typer.Typer(help="Promote or remove the stack's standby.", no_args_is_help=True)
app.add_typer(replica_app, name="replica")
whatsapp_app = typer.Typer(help="Compare WhatsApp's templates at Meta.", no_args_is_help=True)
app.add_typer(whatsapp_app, name="whatsapp")
jobs_app = typer.Typer(help="List and run the scheduled jobs.", no_args_is_help=True)
app.add_typer(jobs_app, name="jobs")

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

Database = Annotated[
    str | None,
    typer.Option(
        help="URL of the database, not through a pooler; default: HUB_DATABASE_URL, else the stack's."
    ),
]


WithReplica = Annotated[
    bool, typer.Option("--with-replica", help="Add a standby and a gateway for reports, which stay.")
]


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


@app.command()
def up(
    with_replica: WithReplica = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Do not return, and fail if supervisord is killed.")
    ] = False,
) -> None:
    """Start the stack on loopback and migrate its database."""
    call("hub.commands.stack", "up", with_replica=with_replica, foreground=foreground)


@app.command()
def down() -> None:
    """Stop the stack; its data stays."""
    call("hub.commands.stack", "down")


@app.command()
def status() -> None:
    """Show the state of each program; exit code 3 if one is down."""
    call("hub.commands.stack", "status")


@app.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(help="postgres, gateway, ...; without a name, list the logs.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Number of lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing as the log grows.")] = False,
) -> None:
    """Show the end of a program's log."""
    call("hub.commands.stack", "logs", name, lines=lines, follow=follow)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False) -> None:
    """Drop the stack's database and create it again, empty."""
    call("hub.commands.stack", "reset", yes=yes)


@app.command()
def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check the machine, the stack and the database; exit code 1 if a check fails."""
    call("hub.commands.doctor", "doctor", as_json=json)


@app.command()
def migrate(
    database: Database = None,
    require_cron: Annotated[
        bool, typer.Option("--require-cron", help="Fail if pg_cron is not available.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the SQL and the lock of each statement; change nothing.")
    ] = False,
) -> None:
    """Migrate a database to the latest version."""
    call("hub.commands.migrate", "migrate", database, require_cron=require_cron, dry_run=dry_run)


@app.command()
def check(
    database: Database = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    since: Annotated[
        str | None,
        typer.Option(help="Compare the audit trail from this date on (2026-01-31); default: two days ago."),
    ] = None,
) -> None:
    """Check every invariant of the data; exit code 1 if one is violated."""
    call("hub.check", "run", database, as_json=json, since=since)


@app.command()
def metrics(
    database: Database = None,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file, for node_exporter's textfile collector.")
    ] = None,
) -> None:
    """Print figures of the business, the jobs and the machine as Prometheus metrics."""
    call("hub.commands.metrics", "metrics", database, output)


@app.command(context_settings=_PASS_ON)
def psql(context: typer.Context) -> None:
    """Open psql on the database; further arguments are passed to psql."""
    call("hub.commands.database", "psql", context.args)


@app.command()
def token(
    role: Annotated[
        str, typer.Argument(help="partner, agent, admin, superadmin, subdist, erp, messenger, monitor")
    ],
    sub: Annotated[str | None, typer.Option(help="UUID of the partner, agent or sub-distributor.")] = None,
    minutes: Annotated[float, typer.Option(help="Minutes until the token expires.")] = 60,
) -> None:
    """Print a token for the API."""
    call("hub.commands.database", "token", role, sub, minutes)


@app.command("rotate-key")
def rotate_key(
    drop: Annotated[bool, typer.Option("--drop", help="End a rotation: forget the former secret.")] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Refuse all tokens of the former secret at once: it leaked.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option(help="Rewrite this env file, such as Compose's .env, and no stack.")
    ] = None,
) -> None:
    """Replace the secret that signs tokens; those of the former one stay valid until they expire."""
    call("hub.commands.keys", "rotate_key", drop=drop, revoke=revoke, file=file)


@app.command()
def superadmin(
    email: Annotated[str, typer.Argument(help="E-mail address to sign in with.")],
    name: Annotated[str, typer.Option(help="Full name.")],
    phone: Annotated[str | None, typer.Option(help="WhatsApp number, +62...")] = None,
    database: Database = None,
) -> None:
    """Create a superadmin, who then creates all other accounts; asks for the password."""
    call("hub.commands.accounts", "superadmin", email, name, phone, database)


@whatsapp_app.command("templates")
def whatsapp_templates(
    check: Annotated[
        bool, typer.Option("--check", help="Compare what Meta has; exit 1 if it differs.")
    ] = False,
    database: Database = None,
) -> None:
    """Print the templates to submit to Meta, or compare them with --check."""
    call("hub.commands.whatsapp", "templates", check, database)


@jobs_app.command("list")
def jobs_list() -> None:
    """List the jobs and their schedules."""
    call("hub.commands.database", "jobs_list")


@jobs_app.command("run")
def jobs_run(name: Annotated[str, typer.Argument(help="Name of the job, see `hub jobs list`.")]) -> None:
    """Run a job now."""
    call("hub.commands.database", "jobs_run", name)


@replica_app.command("promote")
def replica_promote(
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
) -> None:
    """Stop the primary and make its standby the stack's PostgreSQL."""
    call("hub.commands.replica", "promote", yes=yes)


@replica_app.command("remove")
def replica_remove() -> None:
    """Stop the standby and its gateway, and delete its data."""
    call("hub.commands.replica", "remove")


@app.command()
def backup(
    full: Annotated[
        bool, typer.Option("--full", help="Copy everything; default: what changed, once a week all.")
    ] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the backups.")] = False,
) -> None:
    """Back up the stack's PostgreSQL, and archive its WAL from the first call on."""
    call("hub.commands.backup", "backup", full=full, list_only=list_only)


@app.command()
def restore(
    to: Annotated[
        str | None,
        typer.Option(help="Restore this moment, such as '2026-11-27 14:03:00+07:00'; default: the end."),
    ] = None,
    timeline: Annotated[
        int | None, typer.Option(help="Timeline of the moment; default: the one that was in use then.")
    ] = None,
    drill: Annotated[
        bool, typer.Option("--drill", help="Restore beside the stack, check, remove the result.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
) -> None:
    """Replace the stack's PostgreSQL by its state at an earlier moment."""
    call("hub.commands.backup", "restore", to=to, timeline=timeline, drill=drill, yes=yes)


@app.command()
def demo(with_replica: WithReplica = False) -> None:
    """Start the stack, load the demo data, and walk one order from quote to points."""
    call("hub.demo", "run", with_replica=with_replica)


@app.command()
def seed(database: Database = None) -> None:
    """Load the demo data: catalogue, partners, agents and sub-distributors."""
    call("hub.seed", "run", database)
