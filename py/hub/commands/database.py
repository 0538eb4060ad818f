"""hub psql, hub token, hub jobs."""

import os
import time

import psycopg
from psycopg import conninfo
from rich.table import Table

from adapters.common.tokens import mint
from hub import paths, postgres, settings
from hub.console import out, say
from hub.environment import child_environment
from hub.errors import UserError
from hub.migrate.bootstrap import OWNER
from hub.migrate.jobs import Job, read_jobs
from hub.migrate.tree import Tree

ROLES = ("anon", "partner", "agent", "admin", "superadmin", "subdist", "erp", "messenger", "monitor")


def psql(arguments: list[str]) -> None:
    """Replace this process by psql; the password is passed in the environment, which `ps` does not show."""
    parts = conninfo.conninfo_to_dict(settings.database_url())
    password = parts.pop("password", None)
    variables = child_environment({"PGPASSWORD": str(password)} if password else None)
    program = str(postgres.client("psql"))
    os.execve(program, [program, conninfo.make_conninfo("", **parts), *arguments], variables)  # noqa: S606


def token(role: str, sub: str | None, minutes: float) -> None:
    """Print a token for `role`, with the claim `sub`, that expires in `minutes`."""
    if role not in ROLES:
        raise UserError(f"unknown role '{role}'", hint=f"roles: {', '.join(ROLES)}")
    secret = settings.read().jwt_secret.get_secret_value()
    if not secret:
        raise UserError(
            "no signing secret; set HUB_JWT_SECRET", hint="./hub up creates one for the local stack"
        )
    out.print(mint(secret, role, sub, minutes=minutes), markup=False, soft_wrap=True)


def jobs_list() -> None:
    """List the jobs of sql/jobs."""
    table = Table("job", "schedule (GMT)", "description", box=None, pad_edge=False)
    for job in _jobs():
        table.add_row(job.name, job.schedule, job.description)
    out.print(table)


def jobs_run(name: str) -> None:
    """Run a job's command now, as the scheduler does, and print what it returns.

    Raises UserError if it fails.
    """
    known = {job.name: job for job in _jobs()}
    if name not in known:
        raise UserError(f"unknown job '{name}'", hint=f"jobs: {', '.join(known) or 'none'}")
    started = time.monotonic()
    try:
        with psycopg.connect(settings.database_url(), autocommit=True, connect_timeout=10) as conn:
            conn.execute(f"set role {OWNER}")
            result = conn.execute(known[name].command)
            for row in result.fetchall() if result.description else []:
                say(" | ".join("" if value is None else str(value) for value in row))
    except psycopg.Error as error:
        raise UserError(f"job {name} failed: {str(error).strip()}") from None
    say(f"hub:{name} took {time.monotonic() - started:.3f} s")


def _jobs() -> list[Job]:
    return read_jobs(Tree(paths.sql_root(), paths.migrations_root()))
