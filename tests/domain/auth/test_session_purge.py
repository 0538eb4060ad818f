"""The purge of sessions and failed sign-ins."""

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import Connection, Context, make_context, set_config, value
from tests.support.queries import run_job


def open_session(db: Connection, context: Context, expires: str, revoked: str = "null") -> str:
    """A session with a refresh token; both times are SQL."""
    return str(
        value(
            db,
            "with s as (insert into auth.sessions (subject_id, role, created_at, expires_at, revoked_at)"
            f" values (%s, 'partner', now() - interval '400 days', {expires}, {revoked}) returning id)"
            " insert into auth.refresh_tokens (token_hash, session_id)"
            " select sha256(id::text::bytea), id from s returning session_id",
            context.partners[0].sub,
        )
    )


@pytest.mark.parametrize(("days", "purged"), [(89, 0), (91, 1)])
def test_session_is_purged_with_its_tokens_ninety_days_after_its_end(
    db: Connection, context: Context, days: int, purged: int
) -> None:
    ago = f"now() - interval '{days} days'"
    open_session(db, context, ago)
    open_session(db, context, "now() + interval '9 days'", ago)
    kept = open_session(db, context, "now() + interval '1 day'")
    assert value(db, "select auth.purge_sessions(10)") == 2 * purged
    for table in ("auth.sessions", "auth.refresh_tokens"):
        assert value(db, f"select count(*) from {table}") == 3 - 2 * purged
    assert value(db, "select count(*) from auth.sessions where id = %s", kept) == 1


def test_retention_of_sessions_is_configurable_and_its_batches_are_limited(
    db: Connection, context: Context
) -> None:
    set_config(db, context, "retention.session_days", 5)
    for _ in range(3):
        open_session(db, context, "now() - interval '6 days'")
    assert [value(db, "select auth.purge_sessions(2)") for _ in range(3)] == [2, 1, 0]


def test_old_sign_in_attempts_are_deleted(db: Connection, context: Context) -> None:
    for key, age in (("x", 3), ("y", 0)):
        db.execute(
            "insert into auth.login_attempts (key, window_started_at)"
            " values (%s, now() - make_interval(days => %s))",
            [key, age],
        )
    for code, age in ((1, 3), (2, 1)):
        db.execute(
            "insert into auth.password_codes (token_hash, partner_id, expires_at)"
            " values (int4send(%s), %s, now() - make_interval(days => %s))",
            [code, context.partners[0].sub, age],
        )
    assert value(db, "select auth.purge_sign_ins(100)") == 2
    assert value(db, "select count(*) from auth.password_codes") == 1
    assert value(db, "select string_agg(key, ',') from auth.login_attempts") == "y"


ENDED = """
insert into auth.login_attempts (key, window_started_at)
select 'k' || n, now() - n * interval '1 hour' from generate_series(1, {rows}) as n;
insert into auth.sign_in_links (token_hash, subdist_id, expires_at)
select int4send(n), s.id, now() - n * interval '1 hour'
from generate_series(1, {rows}) as n, (select id from app.sub_distributors limit 1) as s;
insert into auth.password_codes (token_hash, partner_id, expires_at)
select int4send(n), p.id, now() - n * interval '1 hour'
from generate_series(1, {rows}) as n, (select id from app.partners limit 1) as p;
insert into app.conversations (number, last_inbound_at)
select '+62' || n, now() - n * interval '1 hour' from generate_series(1, {rows}) as n;
"""
LEFT = (
    "select (select count(*) from auth.login_attempts), (select count(*) from auth.sign_in_links),"
    " (select count(*) from auth.password_codes), (select count(*) from app.conversations)"
)


def test_sign_ins_are_purged_in_batches_that_commit(clone: Clone) -> None:
    with psycopg.connect(clone(), autocommit=True) as conn:
        make_context(conn)
        conn.execute(ENDED.format(rows=100))
        conn.execute("call jobs.purge_sign_ins(10, 0)")
        assert conn.execute(LEFT).fetchone() == (90,) * 4, "each kind had one batch, the oldest"
        run_job(conn, "session-purge")
        assert conn.execute(LEFT).fetchone() == (47,) * 4
        assert value(conn, "select last_rows from jobs.runs where job = 'session-purge'") == 4 * 43


def test_purge_of_sign_ins_reads_a_batch_by_index(db: Connection, context: Context) -> None:
    assert context
    db.execute(ENDED.format(rows=5000))
    read = (
        "select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_user_tables where relid = any"
        " ('{auth.login_attempts,auth.sign_in_links,auth.password_codes,app.conversations}'::regclass[])"
    )
    before = value(db, read)
    assert value(db, "select auth.purge_sign_ins(10)") == 40
    assert value(db, read) - before <= 160


def test_purge_of_sessions_reads_a_batch_by_index(db: Connection, context: Context) -> None:
    db.execute(
        "insert into auth.sessions (subject_id, role, expires_at)"
        " select %s, 'partner', now() - interval '100 days' - n * interval '1 minute'"
        " from generate_series(1, 5000) as n",
        [context.partners[0].sub],
    )
    db.execute(
        "insert into auth.refresh_tokens (token_hash, session_id)"
        " select sha256(s.id::text::bytea), s.id from auth.sessions as s"
    )
    read = (
        "select sum(seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_user_tables"
        " where relid = any ('{auth.sessions,auth.refresh_tokens}'::regclass[])"
    )
    before = value(db, read)
    assert value(db, "select auth.purge_sessions(10)") == 10
    assert value(db, read) - before <= 60


def test_purge_of_the_scheduler_reads_a_batch_by_index(db: Connection) -> None:
    db.execute("create schema cron")
    db.execute(
        "create table cron.job_run_details (runid bigint primary key, start_time timestamptz,"
        " end_time timestamptz, database text default current_database())"
    )
    db.execute(
        "insert into cron.job_run_details"
        " select n, '2020-01-01', '2020-01-01' from generate_series(1, 5000) as n"
    )
    read = (
        "select (seq_tup_read + idx_tup_fetch)::int from pg_stat_xact_user_tables"
        " where relid = 'cron.job_run_details'::regclass"
    )
    before = value(db, read)
    assert value(db, "select jobs.purge_cron_runs(10)") == 10
    assert value(db, read) - before <= 60


def test_history_of_the_scheduler_is_purged_in_batches_after_a_week(clone: Clone) -> None:
    with psycopg.connect(clone(), autocommit=True) as conn:
        conn.execute("create schema cron")
        conn.execute(
            "create table cron.job_run_details ("
            "jobid bigint, runid bigint primary key, start_time timestamptz, end_time timestamptz,"
            " database text default current_database())"
        )
        conn.execute(
            "grant usage on schema cron to hub_owner;"
            " grant select, delete on cron.job_run_details to hub_owner"
        )
        conn.execute(
            "insert into cron.job_run_details select 9, -n, '2020-01-01', '2020-01-01', 'another'"
            " from generate_series(1, 60) as n"
        )
        # every tenth run was cut off; the last of them is younger than a week
        conn.execute(
            "insert into cron.job_run_details select 1, n, t.at, t.at"
            " from generate_series(1, 200) as n, lateral ("
            "select case when n % 10 > 0 then now() - (200.5 - n) * interval '2 hours' end) as t (at)"
        )
        left = "select count(*), min(runid) from cron.job_run_details where jobid = 1"
        conn.execute("call jobs.purge_cron_history(50, 0)")
        assert conn.execute(left).fetchone() == (151, 50), "up to the last run with a time"
        run_job(conn, "history-purge")
        assert conn.execute(left).fetchone() == (84, 117)
        assert value(conn, "select last_rows from jobs.runs where job = 'history-purge'") == 67
        others = "select count(*) from cron.job_run_details where database = 'another'"
        assert value(conn, others) == 60
        run_job(conn, "history-purge")
        assert conn.execute(left).fetchone() == (84, 117)
