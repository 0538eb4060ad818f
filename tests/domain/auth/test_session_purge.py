"""The purge of sessions and failed sign-ins."""

import pytest

from tests.support.context import Connection, Context, value


@pytest.mark.parametrize(("days", "kept"), [(29, 1), (31, 0)])
def test_sessions_are_purged_thirty_days_after_their_end(
    db: Connection, context: Context, days: int, kept: int
) -> None:
    session = (
        "insert into auth.sessions (subject_id, role, created_at, expires_at, revoked_at)"
        " values (%s, 'partner', now() - interval '90 days', now() + {expires}, {revoked})"
    )
    ago = f"now() - interval '{days} days'"
    db.execute(session.format(expires="interval '9 days'", revoked=ago).encode(), [context.partners[0].sub])
    expired = session.format(expires=f"interval '-{days} days'", revoked="null").encode()
    db.execute(expired, [context.partners[0].sub])
    db.execute(session.format(expires="interval '1 day'", revoked="null").encode(), [context.partners[0].sub])
    for key, age in (("x", 3), ("y", 0)):
        db.execute(
            "insert into auth.login_attempts (key, window_started_at)"
            " values (%s, now() - make_interval(days => %s))",
            [key, age],
        )
    assert value(db, "select jobs.purge_sessions()") == 3 - 2 * kept
    assert value(db, "select count(*) from auth.sessions") == 1 + 2 * kept
    assert value(db, "select string_agg(key, ',') from auth.login_attempts") == "y"
