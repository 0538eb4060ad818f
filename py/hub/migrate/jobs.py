"""The jobs of sql/jobs, one in each file; pg_cron runs them as `hub:<job>`.

-- job: point-queue
-- schedule: * * * * *
-- Vests the points of invoices that were paid.
call jobs.process_point_queue();
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from hub.migrate.bootstrap import OWNER
from hub.migrate.errors import MigrationError
from hub.migrate.report import Report
from hub.migrate.script import line_at, statements
from hub.migrate.tree import Tree, shown

PREFIX = "hub:"
_SCHEDULER = "hub_scheduler"
_HEADER = re.compile(
    r"-- job: (?P<job>[a-z][a-z0-9-]*)\n-- schedule: (?P<schedule>\S+(?: \S+){4})\n(?P<about>(?:--.*\n)+)"
)


@dataclass(frozen=True)
class Job:
    """A scheduled command; `schedule` is a cron expression in GMT."""

    name: str
    schedule: str
    command: str
    description: str


def read_job(path: Path) -> Job:
    """Read the file of a job. Raises MigrationError unless it has a header and one command."""
    text = path.read_text()
    header = _HEADER.match(text)
    if not header:
        raise MigrationError(
            "a job begins with '-- job: NAME', '-- schedule: * * * * *' (five fields) and a description",
            path=shown(path),
            line=1,
        )
    found = statements(text)
    if len(found) != 1:
        line = line_at(text, found[1].start) if found else line_at(text, header.end())
        raise MigrationError(
            f"a job is one command, but the file has {len(found)}", path=shown(path), line=line
        )
    about = " ".join(line.removeprefix("--").strip() for line in header["about"].splitlines())
    command = text[found[0].start :].strip().removesuffix(";").rstrip()
    return Job(header["job"], header["schedule"], command, about)


def read_jobs(tree: Tree) -> list[Job]:
    """Read every job of the tree. Raises MigrationError for an invalid file or a name used twice."""
    jobs: dict[str, Job] = {}
    for path in tree.job_files():
        job = read_job(path)
        if job.name in jobs:
            raise MigrationError(f"two files define the job {job.name}", path=shown(path))
        jobs[job.name] = job
    return list(jobs.values())


def apply_jobs(conn: psycopg.Connection[Any], tree: Tree, report: Report, *, require_cron: bool) -> None:
    """Schedule the jobs of the files, unschedule other `hub:` jobs, and fill `report`.

    Raises MigrationError if pg_cron is not available and `require_cron` is set.
    """
    jobs = read_jobs(tree)
    why_not = _unavailable(conn)
    with conn.transaction():
        _record(conn, jobs)
        if not why_not:
            _prepare_cron(conn)
            _schedule(conn, jobs, report)
    if why_not and (jobs or require_cron):
        if require_cron:
            raise MigrationError(f"pg_cron is not available: {why_not}", hint="everything else was applied")
        report.remarks.append(f"pg_cron is not available, so no job is scheduled: {why_not}")


def _unavailable(conn: psycopg.Connection[Any]) -> str:
    """Why pg_cron cannot schedule in this database; empty if it can."""
    # current_setting() raises for a login without the privilege to read it; pg_settings has no row then.
    cron_database, this_database, installed, offered = conn.execute(
        "select (select setting from pg_catalog.pg_settings where name = 'cron.database_name'),"
        " current_database(),"
        " exists (select from pg_catalog.pg_extension where extname = 'pg_cron'),"
        " exists (select from pg_catalog.pg_available_extensions where name = 'pg_cron')"
    ).fetchall()[0]
    if not offered:
        return "the extension is not installed on the server"
    if conn.info.parameter_status("is_superuser") != "on":
        if not installed:
            return "only a superuser may create the extension"
        may_use = conn.execute(
            "select bool_and(pg_catalog.has_schema_privilege(r.name, 'cron', 'USAGE'))"
            " from unnest(array[current_user, %s]) as r (name)",
            [OWNER],
        ).fetchall()[0][0]
        return "" if may_use else "a superuser must grant its use, see docs/operations/install.md"
    if cron_database is None:
        return "it is not in shared_preload_libraries"
    if cron_database != this_database:
        return f"it runs in the database '{cron_database}' (cron.database_name)"
    return ""


def _record(conn: psycopg.Connection[Any], jobs: list[Job]) -> None:
    """Write the jobs to jobs.schedule, which api.job_health reads."""
    if not conn.execute("select to_regclass('jobs.schedule')").fetchall()[0][0]:
        return
    conn.execute(f"set local role {OWNER}")
    conn.execute("delete from jobs.schedule where job <> all (%s)", [[job.name for job in jobs]])
    for job in jobs:
        conn.execute(
            "insert into jobs.schedule as s (job, schedule, command, description) values (%s, %s, %s, %s)"
            " on conflict (job) do update set schedule = excluded.schedule, command = excluded.command,"
            " description = excluded.description"
            " where (s.schedule, s.command, s.description)"
            " is distinct from (excluded.schedule, excluded.command, excluded.description)",
            [job.name, job.schedule, job.command, job.description],
        )
    conn.execute("reset role")


def _prepare_cron(conn: psycopg.Connection[Any]) -> None:
    """Create the extension, and grant the owner of all objects to read and purge its history."""
    if conn.info.parameter_status("is_superuser") != "on":
        return
    if not conn.execute("select from pg_catalog.pg_extension where extname = 'pg_cron'").rowcount:
        conn.execute("create extension pg_cron")
    if conn.execute("select pg_catalog.has_schema_privilege(%s, 'cron', 'USAGE')", [OWNER]).fetchall()[0][0]:
        return
    conn.execute(f"grant usage on schema cron to {OWNER}")
    conn.execute(f"grant select on cron.job to {OWNER}")
    conn.execute(f"grant select, delete on cron.job_run_details to {OWNER}")
    # pg_cron's own policies show only jobs of the current user; these jobs belong to the scheduler's role.
    for table in ("job", "job_run_details"):
        conn.execute(f"create policy hub_owner_all on cron.{table} to {OWNER} using (true)")


def _schedule(conn: psycopg.Connection[Any], jobs: list[Job], report: Report) -> None:
    """Make the `hub:` jobs those of the files, in this database, and verify that they are."""
    superuser = conn.info.parameter_status("is_superuser") == "on"
    present = _scheduled(conn)
    for job in jobs:
        name = PREFIX + job.name
        old = present.pop(name, None)
        if old and old[:3] == (job.schedule, job.command, True):
            continue
        if old:
            # pg_cron 1.4 keeps the database of a job that it schedules again under the same name.
            conn.execute("select cron.unschedule(%s)", [old[3]])
        if superuser:
            conn.execute(
                "select cron.schedule_in_database(%s, %s, %s, current_database(), %s)",
                [name, job.schedule, job.command, _SCHEDULER],
            )
        else:
            conn.execute("select cron.schedule(%s, %s, %s)", [name, job.schedule, job.command])
        report.jobs_scheduled.append(job.name)
    for name, (_, _, _, jobid) in present.items():
        conn.execute("select cron.unschedule(%s)", [jobid])
        report.jobs_unscheduled.append(name.removeprefix(PREFIX))
    expected = {PREFIX + job.name: (job.schedule, job.command, True) for job in jobs}
    if wrong := sorted(expected.items() ^ {name: row[:3] for name, row in _scheduled(conn).items()}.items()):
        names = ", ".join(sorted({name for name, _ in wrong}))
        raise MigrationError(
            f"pg_cron does not run these jobs in this database: {names}",
            hint="compare cron.job with sql/jobs; a job of the same name may belong to another login",
        )


def _scheduled(conn: psycopg.Connection[Any]) -> dict[str, tuple[str, str, bool, int]]:
    """Schedule, command, whether it runs in this database, and id of each `hub:` job.

    pg_cron's table exists in one database of a cluster, so all of them are this hub's: those that name
    another database were scheduled before it was renamed or restored.
    """
    rows = conn.execute(
        "select jobname, schedule, command, database = current_database(), jobid from cron.job"
        " where jobname like %s",
        [PREFIX + "%"],
    ).fetchall()
    return {name: (schedule, command, is_here, jobid) for name, schedule, command, is_here, jobid in rows}
