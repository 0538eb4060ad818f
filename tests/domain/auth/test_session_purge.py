"""The purge of sessions and failed sign-ins."""

import pytest

from tests.support.context import Connection, Context, set_config, value


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
    assert value(db, "select jobs.purge_sessions()") == 2
    assert value(db, "select count(*) from auth.password_codes") == 1
    assert value(db, "select string_agg(key, ',') from auth.login_attempts") == "y"
