"""hub psql, hub token, hub jobs."""

import os
import time

import psycopg
from psycopg import conninfo
from rich.table import Table

from adapters.common.tokens import mint
from hub import paths, postgres, settings
from hub.console import out, say
from hub.errors import UserError
from hub.migrate.bootstrap import OWNER
from hub.migrate.jobs import Job, read_jobs
from hub.migrate.tree import Tree

ROLES = ("anon", "partner", "agent", "admin", "superadmin", "subdist", "erp", "messenger")


def _url() -> str:
    url = settings.read().database_url
    if not url:
        raise UserError("which database?", hint="./hub up makes one; else set HUB_DATABASE_URL")
    return url


def psql(arguments: list[str]) -> None:
    """Become psql on the stack's database; the password goes by the environment, which `ps` hides."""
    parts = conninfo.conninfo_to_dict(_url())
    environment = dict(os.environ)
    if password := parts.pop("password", None):
        environment["PGPASSWORD"] = str(password)
    program = str(postgres.program("psql"))
    os.execve(program, [program, conninfo.make_conninfo("", **parts), *arguments], environment)  # noqa: S606


def token(role: str, sub: str | None, minutes: float) -> None:
    """Print a token that the gateway takes."""
    if role not in ROLES:
        raise UserError(f"there is no role '{role}'", hint=f"there are: {', '.join(ROLES)}")
    secret = settings.read().jwt_secret
    if not secret:
        raise UserError("there is no signing secret", hint="./hub up makes one; else set HUB_JWT_SECRET")
    out.print(mint(secret, role, sub, minutes=minutes), markup=False, soft_wrap=True)


def jobs_list() -> None:
    """Show the jobs of sql/jobs."""
    table = Table("job", "schedule (GMT)", "what it does", box=None, pad_edge=False)
    for job in _jobs():
        table.add_row(job.name, job.schedule, job.description)
    out.print(table)


def jobs_run(name: str) -> None:
    """Run a job's command now, as the scheduler would, and print what it returns."""
    known = {job.name: job for job in _jobs()}
    if name not in known:
        raise UserError(f"there is no job '{name}'", hint=f"there are: {', '.join(known) or 'none'}")
    started = time.monotonic()
    try:
        with psycopg.connect(_url(), autocommit=True, connect_timeout=10) as conn:
            conn.execute(f"set role {OWNER}")
            done = conn.execute(known[name].command)
            for row in done.fetchall() if done.description else []:
                say(" | ".join("" if value is None else str(value) for value in row))
    except psycopg.Error as error:
        raise UserError(f"the job {name} failed: {str(error).strip()}") from None
    say(f"hub:{name} took {time.monotonic() - started:.3f} s")


def _jobs() -> list[Job]:
    return read_jobs(Tree(paths.sql_root(), paths.migrations_root()))
