"""Sessions, passwords and codes of one account under concurrent calls."""

from typing import Any

import psycopg
import pytest

from tests.support.concurrency import Operation, api_call, assert_invariants, run_concurrently
from tests.support.context import Caller, Connection, Context, items, make_context, submit, value

PASSWORD = "rahasia-sekali"
ANONYMOUS = Caller("anon")


@pytest.fixture
def context(conn: Connection) -> Context:
    """Partners with a password that is quick to check."""
    context = make_context(conn, partners=2, products=1)
    conn.execute(
        "update app.partners set password_hash = extensions.crypt(%s, extensions.gen_salt('bf', 4))",
        [PASSWORD],
    )
    return context


def sign_in(conn: Connection) -> dict[str, Any]:
    tokens: dict[str, Any] = value(conn, "select auth.login('salon0@hub.test', %s)", PASSWORD)
    return tokens


def codes(conn: Connection, count: int) -> list[str]:
    """Codes for the partner's password."""
    for _ in range(count):
        conn.execute("delete from auth.login_attempts")
        conn.execute("select auth.request_password_reset('salon0@hub.test')")
    rows = conn.execute(
        "select variables ->> 'token' from app.messages where template = 'password_reset' order by position"
    ).fetchall()
    return [token for (token,) in rows]


def test_simultaneous_refreshes_of_one_token_get_the_same_successor(
    url: str, conn: Connection, context: Context
) -> None:
    token = sign_in(conn)["refresh_token"]
    for _ in range(3):
        run = run_concurrently(url, [api_call(ANONYMOUS, "refresh_session", refresh_token=token)] * 8)
        successors = {answer.get("refresh_token") for answer in run.outcomes}
        assert len(successors) == 1, run.outcomes
        [token] = successors
        assert token
    assert value(conn, "select count(*) from auth.refresh_tokens") == 4
    assert_invariants(conn)


def test_simultaneous_uses_of_a_number_give_it_to_one_partner(
    url: str, conn: Connection, context: Context
) -> None:
    for i in range(5):
        number = f"0813-9999-000{i}"
        run = run_concurrently(
            url, [api_call(who, "update_profile", phone=number) for who in context.partners * 3]
        )
        owners = {answer["id"] for answer in run.succeeded}
        assert len(owners) == 1
        assert set(run.refusals) == {"PHONE_IN_USE"}


def test_calls_that_change_one_account_do_not_deadlock(url: str, conn: Connection, context: Context) -> None:
    partner = context.partners[0]
    for _ in range(5):
        conn.execute("delete from app.messages where template = 'password_reset'")
        reset: list[Operation] = [
            api_call(ANONYMOUS, "reset_password", token=code, new_password=PASSWORD)
            for code in codes(conn, 3)
        ]
        refresh = [
            api_call(ANONYMOUS, "refresh_session", refresh_token=sign_in(conn)["refresh_token"])
            for _ in range(3)
        ]
        change = api_call(partner, "change_password", current_password=PASSWORD, new_password=PASSWORD)
        wrong = api_call(partner, "change_password", current_password="x", new_password=PASSWORD)
        revoke = api_call(context.admin, "revoke_sessions", role="partner", id=partner.sub)
        forgotten = api_call(ANONYMOUS, "request_password_reset", email="salon0@hub.test")
        login = api_call(ANONYMOUS, "login", email="salon0@hub.test", password=PASSWORD)

        def order(connection: Connection) -> Any:
            return submit(connection, partner, items(SKU_000=1))

        def correct(connection: Connection) -> None:
            connection.execute(
                "update app.partners set phone = '+62813' || lpad((random() * 9999999)::int::text, 7, '0')"
                " where id = %s",
                [partner.sub],
            )

        run = run_concurrently(
            url,
            [
                *reset,
                *refresh,
                change,
                wrong,
                change,
                wrong,
                revoke,
                revoke,
                forgotten,
                login,
                order,
                correct,
            ],
        )
        assert not run.refusals
        answers = [answer.get("code") for answer in run.outcomes if isinstance(answer, dict)]
        assert set(answers) <= {
            None, "INVALID_LINK", "INVALID_REFRESH_TOKEN", "INVALID_CREDENTIALS", "TOO_MANY_ATTEMPTS",
        }  # fmt: skip
    assert_invariants(conn)


def test_reset_does_not_wait_for_the_attempts_of_a_change(
    url: str, conn: Connection, context: Context
) -> None:
    """A change locks its attempts before the account; a reset that locked them after it would deadlock."""
    [code] = codes(conn, 1)
    key = "auth.attempt_key('password', %s)"
    conn.execute(f"insert into auth.login_attempts (key) values ({key})", [context.partners[0].sub])
    with psycopg.connect(url) as change:
        change.execute(f"select auth.count_attempt({key}, 5)", [context.partners[0].sub])
        reset = api_call(ANONYMOUS, "reset_password", token=code, new_password=PASSWORD)
        assert run_concurrently(url, [reset]).outcomes == [{"changed": True, "role": "partner"}]
        change.rollback()
