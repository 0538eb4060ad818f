"""Signing in and out: passwords, tokens, sign-in links, and limits on failed attempts."""

import re
from collections.abc import Mapping
from typing import Any

import jwt
import psycopg
import pytest

from tests.support.calls import Response, call_rpc, refused
from tests.support.context import Caller, Connection, Context, call, set_config, trust_proxies, value
from tests.support.factories import make_subdist
from tests.support.rls_dataset import PASSWORD
from tests.support.test_cluster import JWT_SECRET

pytestmark = pytest.mark.context(partners=2, products=1)

ANONYMOUS = Caller("anon")
SALON = "salon0@hub.test"
FROM = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture(autouse=True)
def _passwords(db: Connection, context: Context) -> None:
    password_hash = value(db, "select extensions.crypt(%s, extensions.gen_salt('bf', 4))", PASSWORD)
    for table in ("partners", "agents"):
        db.execute(f"update app.{table} set password_hash = %s".encode(), [password_hash])
    trust_proxies(db)


def login(
    db: Connection, email: str = SALON, password: str = PASSWORD, headers: Mapping[str, str] | None = None
) -> Response:
    return call_rpc(db, ANONYMOUS, "login", headers, email=email, password=password)


def tokens(db: Connection, email: str = SALON) -> dict[str, Any]:
    body: dict[str, Any] = login(db, email).body
    return body


def caller_of(token: str) -> Caller:
    """The caller of an access token, whose signature is verified."""
    claims = jwt.decode(token, JWT_SECRET, ["HS256"], options={"require": ["exp", "iat", "sub"]})
    return Caller(
        claims["role"], claims["sub"], {k: v for k, v in claims.items() if k not in ("role", "sub")}
    )


def outcome(response: Response) -> tuple[int, str | None]:
    return response.status, response.body.get("code")


def test_login_without_a_signing_secret_fails(db: Connection, context: Context) -> None:
    db.execute("delete from auth.jwt_secret")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState), db.transaction():
        db.execute("select api.login(%s, %s)", [SALON, PASSWORD])


@pytest.mark.parametrize("email", [SALON, "  SALON0@Hub.Test "])
def test_correct_password_signs_the_partner_in(db: Connection, context: Context, email: str) -> None:
    response = login(db, email)
    assert response.status == 200
    assert response.body["subject_id"] == context.partners[0].sub
    assert call(db, caller_of(response.body["access_token"]), "me")["email"] == SALON


@pytest.mark.parametrize(
    ("agent_role", "role"), [("SALESMAN", "agent"), ("ADMIN", "admin"), ("SUPERADMIN", "superadmin")]
)
def test_staff_sign_in_with_the_database_role_of_their_agent_role(
    db: Connection, context: Context, agent_role: str, role: str
) -> None:
    db.execute("update app.agents set role = %s where email = 'citra@hub.test'", [agent_role])
    response = tokens(db, "citra@hub.test")
    assert response["role"] == role
    assert call(db, caller_of(response["access_token"]), "me")["role"] == role


def test_access_token_is_signed_with_hs256_and_has_integer_times(db: Connection, context: Context) -> None:
    token = tokens(db)["access_token"]
    claims = jwt.decode(token, JWT_SECRET, ["HS256"])
    assert set(claims) == {"role", "sub", "sid", "iat", "exp"}
    assert (type(claims["iat"]), type(claims["exp"])) == (int, int)
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token), "base64url without padding"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, JWT_SECRET + "x", ["HS256"])


@pytest.mark.parametrize(
    "change",
    [
        "is_active = false", "deleted_at = now()", "password_hash = 'x'", "password_hash = ''",
        "email = 'moved@hub.test'",
    ],
)  # fmt: skip
def test_ineligible_account_gets_the_answer_of_a_wrong_password(
    db: Connection, context: Context, change: str
) -> None:
    wrong = login(db, "salon1@hub.test", "salah-sekali")
    assert outcome(wrong) == (401, "INVALID_CREDENTIALS")
    db.execute(f"update app.partners set {change} where email = %s".encode(), [SALON])
    assert login(db).body == wrong.body
    assert value(db, "select count(*) from auth.sessions") == 0


@pytest.mark.parametrize("given", [{"email": None, "password": "x"}, {"email": SALON, "password": ""}])
def test_login_without_email_or_password_is_refused(
    db: Connection, context: Context, given: dict[str, Any]
) -> None:
    with refused(db, "INVALID_ARGUMENT"):
        call_rpc(db, ANONYMOUS, "login", **given)


def test_failed_login_is_counted_by_hashed_email_and_address(db: Connection, context: Context) -> None:
    login(db, password="salah-sekali", headers=FROM)
    kept = "select split_part(key, ':', 1), failures from auth.login_attempts order by 1"
    assert db.execute(kept).fetchall() == [("email", 1), ("ip", 1)]
    assert value(db, "select count(*) from auth.login_attempts where key like '%hub.test%'") == 0


def test_account_is_locked_for_fifteen_minutes_after_five_failures(db: Connection, context: Context) -> None:
    for _ in range(5):
        assert outcome(login(db, password="salah-sekali")) == (401, "INVALID_CREDENTIALS")
    response = login(db)
    assert outcome(response) == (429, "TOO_MANY_ATTEMPTS")
    assert response.headers == {"Retry-After": "900"}
    assert response.body["details"] == "retry_after: 900"
    assert login(db, "salon1@hub.test").status == 200, "other accounts are not locked"
    db.execute("update auth.login_attempts set window_started_at = now() - interval '899.5 seconds'")
    assert login(db).headers == {"Retry-After": "1"}
    db.execute("update auth.login_attempts set window_started_at = now() - interval '900 seconds'")
    assert login(db).status == 200


def test_successful_login_resets_the_failure_count(db: Connection, context: Context) -> None:
    for _ in range(3):
        for _ in range(4):
            login(db, password="salah-sekali")
        assert login(db).status == 200


def test_address_is_locked_for_every_account_after_too_many_failures(
    db: Connection, context: Context
) -> None:
    set_config(db, context, "auth.max_failures_per_address", 3)
    for i in range(3):
        assert outcome(login(db, f"unknown{i}@hub.test", headers=FROM))[0] == 401
    assert outcome(login(db, headers=FROM)) == (429, "TOO_MANY_ATTEMPTS")
    assert login(db, headers={"X-Forwarded-For": "203.0.113.8"}).status == 200
    assert login(db).status == 200
    db.execute("update auth.login_attempts set window_started_at = now() - interval '15 minutes'")
    assert login(db, headers=FROM).status == 200


def refresh(db: Connection, token: str | None) -> Response:
    return call_rpc(db, ANONYMOUS, "refresh_session", refresh_token=token)


def age_tokens(db: Connection, seconds: float) -> None:
    """Let time pass since the refresh tokens were exchanged."""
    db.execute("update auth.refresh_tokens set used_at = used_at - make_interval(secs => %s)", [seconds])


def test_late_reuse_of_a_refresh_token_closes_the_session(db: Connection, context: Context) -> None:
    first = tokens(db)
    second = refresh(db, first["refresh_token"]).body
    who = caller_of(second["access_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert who.extra["sid"] == caller_of(first["access_token"]).extra["sid"]
    assert call(db, who, "me")["email"] == SALON
    age_tokens(db, 30.1)
    assert outcome(refresh(db, first["refresh_token"])) == (401, "REFRESH_TOKEN_REUSED")
    assert outcome(refresh(db, second["refresh_token"])) == (401, "INVALID_REFRESH_TOKEN")
    with refused(db, "SESSION_CLOSED"):
        call(db, who, "me")


@pytest.mark.regression("OpenRisk#700")
@pytest.mark.parametrize("ages", [[0], [1], [15], [29.9], [0, 0, 0], [0, 10, 19.9]], ids=str)
def test_repeated_refresh_returns_the_same_successor_for_thirty_seconds(
    db: Connection, context: Context, ages: list[float]
) -> None:
    first = tokens(db)
    second = refresh(db, first["refresh_token"]).body
    for seconds in ages:
        age_tokens(db, seconds)
        again = refresh(db, first["refresh_token"]).body
        assert again["refresh_token"] == second["refresh_token"]
        assert call(db, caller_of(again["access_token"]), "me")["email"] == SALON
    assert value(db, "select count(*) from auth.refresh_tokens") == 2
    assert refresh(db, second["refresh_token"]).status == 200


def test_refresh_token_is_not_repeated_once_its_successor_is_in_use(db: Connection, context: Context) -> None:
    first = tokens(db)["refresh_token"]
    second = refresh(db, first).body["refresh_token"]
    third = refresh(db, second).body["refresh_token"]
    assert outcome(refresh(db, first)) == (401, "REFRESH_TOKEN_REUSED")
    assert outcome(refresh(db, third)) == (401, "INVALID_REFRESH_TOKEN")


def test_repeated_refresh_of_a_closed_session_is_refused(db: Connection, context: Context) -> None:
    first = tokens(db)
    second = refresh(db, first["refresh_token"]).body
    call_rpc(db, caller_of(second["access_token"]), "logout")
    assert outcome(refresh(db, first["refresh_token"])) == (401, "INVALID_REFRESH_TOKEN")


def test_successor_of_a_refresh_token_depends_on_the_signing_secret(db: Connection, context: Context) -> None:
    first = tokens(db)["refresh_token"]
    refresh(db, first)
    db.execute("update auth.jwt_secret set secret = secret || 'x'")
    assert outcome(refresh(db, first)) == (401, "REFRESH_TOKEN_REUSED")


def rotate_key(db: Connection, until: str) -> None:
    """Rotate the signing secret as `hub rotate-key` does."""
    db.execute(
        "update auth.jwt_secret set previous_secret = secret, secret = secret || 'x',"
        f" previous_until = now() + interval '{until}'".encode()
    )


def test_refresh_that_is_repeated_across_a_rotation_of_the_key_returns_the_same_successor(
    db: Connection, context: Context
) -> None:
    first = tokens(db)["refresh_token"]
    second = refresh(db, first).body["refresh_token"]
    rotate_key(db, "1 hour")
    assert refresh(db, first).body["refresh_token"] == second
    assert refresh(db, second).status == 200


def test_device_is_known_until_a_rotation_of_the_key_ends(db: Connection, context: Context) -> None:
    known = {"X-Device-Token": tokens(db)["device_token"]}
    for _ in range(6):
        login(db, password="salah-sekali")
    rotate_key(db, "1 hour")
    assert login(db, headers=known).status == 200
    for _ in range(6):
        login(db, password="salah-sekali")
    db.execute("update auth.jwt_secret set previous_until = now()")
    assert login(db, headers=known).status == 429


@pytest.mark.parametrize(
    "change",
    [
        "update auth.sessions set revoked_at = now()",
        "update auth.sessions set expires_at = now()",
        "update app.partners set is_active = false",
        "update app.partners set deleted_at = now()",
        "delete from auth.sessions",
    ],
)
def test_refresh_token_of_a_closed_session_or_account_is_refused(
    db: Connection, context: Context, change: str
) -> None:
    response = tokens(db)
    db.execute(change.encode())
    assert outcome(refresh(db, response["refresh_token"])) == (401, "INVALID_REFRESH_TOKEN")


@pytest.mark.parametrize("token", [None, "", "x", "a" * 10_000])
def test_unknown_refresh_token_is_refused(db: Connection, context: Context, token: str | None) -> None:
    assert outcome(refresh(db, token)) == (401, "INVALID_REFRESH_TOKEN")


def test_refresh_token_of_an_agent_with_a_new_role_is_refused(db: Connection, context: Context) -> None:
    response = tokens(db, "citra@hub.test")
    db.execute("update app.agents set role = 'ADMIN' where email = 'citra@hub.test'")
    assert outcome(refresh(db, response["refresh_token"])) == (401, "INVALID_REFRESH_TOKEN")


def test_access_token_expires_with_its_session(db: Connection, context: Context) -> None:
    response = tokens(db)
    db.execute("update auth.sessions set expires_at = now() + interval '100 seconds'")
    who = caller_of(refresh(db, response["refresh_token"]).body["access_token"])
    assert who.extra["exp"] - who.extra["iat"] in (99, 100)


def test_refresh_token_is_stored_as_a_hash(db: Connection, context: Context) -> None:
    response = tokens(db)["refresh_token"]
    assert value(db, "select sha256(convert_to(%s, 'UTF8')) = token_hash from auth.refresh_tokens", response)


def test_logout_closes_the_callers_session_only(db: Connection, context: Context) -> None:
    first, second = (tokens(db) for _ in range(2))
    call_rpc(db, caller_of(first["access_token"]), "logout")
    with refused(db, "SESSION_CLOSED"):
        call(db, caller_of(first["access_token"]), "me")
    assert outcome(refresh(db, first["refresh_token"])) == (401, "INVALID_REFRESH_TOKEN")
    assert call(db, caller_of(second["access_token"]), "me")["email"] == SALON


def change_password(db: Connection, who: Caller, current: str | None, new: str | None) -> Response:
    return call_rpc(db, who, "change_password", current_password=current, new_password=new)


@pytest.mark.parametrize("email", [SALON, "citra@hub.test"])
def test_new_password_is_valid_at_once_and_closes_other_sessions(
    db: Connection, context: Context, email: str
) -> None:
    here, elsewhere = (caller_of(tokens(db, email)["access_token"]) for _ in range(2))
    assert change_password(db, here, PASSWORD, "katasandi-baru").body == {"changed": True}
    assert call(db, here, "me")["email"] == email
    with refused(db, "SESSION_CLOSED"):
        call(db, elsewhere, "me")
    assert login(db, email).status == 401
    assert login(db, email, "katasandi-baru").status == 200
    cost = (
        "select left(password_hash, 7) from app.partners where email = %s union select left(password_hash, 7)"
    )
    assert value(db, cost + " from app.agents where email = %s", email, email) == "$2a$10$", "bcrypt, cost 10"


@pytest.mark.parametrize("new", [None, "", "short", "123456789", "x" * 73, "é" * 37])
def test_weak_password_is_refused(db: Connection, context: Context, new: str | None) -> None:
    with refused(db, "PASSWORD_TOO_WEAK"):
        change_password(db, context.partners[0], PASSWORD, new)


@pytest.mark.parametrize("new", ["1234567890", "x" * 72, "é" * 36])
def test_password_of_ten_characters_to_seventy_two_bytes_is_accepted(
    db: Connection, context: Context, new: str
) -> None:
    assert change_password(db, context.partners[0], PASSWORD, new).body == {"changed": True}
    assert login(db, SALON, new).status == 200


def test_change_password_is_locked_after_five_wrong_passwords(db: Connection, context: Context) -> None:
    who = context.partners[0]
    for _ in range(5):
        response = change_password(db, who, "salah-sekali", "katasandi-baru")
        assert outcome(response) == (401, "INVALID_CREDENTIALS")
    response = change_password(db, who, PASSWORD, "katasandi-baru")
    assert outcome(response) == (429, "TOO_MANY_ATTEMPTS")
    assert login(db).status == 200, "failures of login are counted apart"
    with refused(db, "INVALID_ARGUMENT"):
        change_password(db, context.partners[1], None, "katasandi-baru")


def request_link(db: Connection, number: str) -> Response:
    return call_rpc(db, ANONYMOUS, "request_link", whatsapp_number=number)


def link_tokens(db: Connection, who: Caller) -> list[str]:
    rows = db.execute(
        "select variables ->> 'token' from app.messages where recipient_id = %s and template = 'sign_in_link'"
        " order by position",
        [who.sub],
    ).fetchall()
    return [token for (token,) in rows]


@pytest.mark.parametrize("number", ["0819-000-0000", "62819 0000000", "+628190000000"])
def test_sign_in_link_works_once(db: Connection, context: Context, number: str) -> None:
    who = make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    assert request_link(db, number).body == {"sent": True, "minutes": 15}
    (token,) = link_tokens(db, who)
    response = call_rpc(db, ANONYMOUS, "redeem_link", token=token)
    assert (response.body["role"], response.body["subject_id"]) == ("subdist", who.sub)
    assert call(db, caller_of(response.body["access_token"]), "me")["phone"] == "+628190000000"
    assert outcome(call_rpc(db, ANONYMOUS, "redeem_link", token=token)) == (401, "INVALID_LINK")


@pytest.mark.parametrize("number", ["+628190000000", "+628199999999"])
def test_request_link_does_not_reveal_which_numbers_are_known(
    db: Connection, context: Context, number: str
) -> None:
    make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    make_subdist(db, context.regions["papua"], whatsapp_number="+628191111111", status="SUSPENDED")
    for requested in (number, "+628191111111"):
        for _ in range(7):
            response = request_link(db, requested)
            assert (response.status, response.body) == (200, {"sent": True, "minutes": 15})
    links = value(db, "select count(*) from auth.sign_in_links")
    assert links == (5 if number == "+628190000000" else 0)


def pass_time(db: Connection, minutes: int) -> None:
    """Let time pass since the sign-in links were requested."""
    db.execute(
        "update auth.sign_in_links set created_at = created_at - d.passed,"
        " expires_at = expires_at - d.passed, used_at = used_at - d.passed"
        " from (select make_interval(mins => %s) as passed) as d",
        [minutes],
    )


def test_stranger_neither_floods_a_sub_distributor_with_links_nor_leaves_them_without_one(
    db: Connection, context: Context
) -> None:
    who = make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    usable = "select count(*) from auth.sign_in_links where expires_at > now() and used_at is null"
    for _ in range(24 * 60 // 20):
        for _ in range(2):
            assert request_link(db, "+628190000000").status == 200
        assert value(db, usable) >= 1
        pass_time(db, 20)
    links = link_tokens(db, who)
    assert 5 <= len(links) <= 5 + 24 // 2
    assert request_link(db, "+628190000000").status == 200
    newest = link_tokens(db, who)[-1]
    assert call_rpc(db, ANONYMOUS, "redeem_link", token=newest).status == 200
    pass_time(db, 1)
    assert request_link(db, "+628190000000").status == 200
    assert len(link_tokens(db, who)) == len(links) + 1, "after a sign-in there are links at once again"


def test_links_that_were_sent_stay_valid_when_others_are_requested(db: Connection, context: Context) -> None:
    who = make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    for _ in range(6):
        request_link(db, "+628190000000")
    for token in link_tokens(db, who):
        assert call_rpc(db, ANONYMOUS, "redeem_link", token=token).status == 200


def test_requests_of_links_are_throttled_by_the_callers_address(db: Connection, context: Context) -> None:
    set_config(db, context, "auth.max_failures_per_address", 2)
    numbers = [f"+62819000000{i}" for i in range(3)]
    answers = [
        call_rpc(db, ANONYMOUS, "request_link", FROM, whatsapp_number=number).status for number in numbers
    ]
    assert answers == [200, 200, 429]
    other = {"X-Forwarded-For": "203.0.113.8"}
    assert call_rpc(db, ANONYMOUS, "request_link", other, whatsapp_number=numbers[0]).status == 200


@pytest.mark.parametrize(
    "change",
    [
        "update auth.sign_in_links set expires_at = now()",
        "update app.sub_distributors set status = 'SUSPENDED'",
        "delete from auth.sign_in_links",
    ],
)
def test_sign_in_link_that_expired_or_whose_owner_is_suspended_is_refused(
    db: Connection, context: Context, change: str
) -> None:
    who = make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    request_link(db, "+628190000000")
    (token,) = link_tokens(db, who)
    db.execute(change.encode())
    assert outcome(call_rpc(db, ANONYMOUS, "redeem_link", token=token)) == (401, "INVALID_LINK")


def test_redeemed_link_resets_the_count_of_requested_links(db: Connection, context: Context) -> None:
    who = make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    for i in range(7):
        assert request_link(db, "+628190000000").status == 200
        call_rpc(db, ANONYMOUS, "redeem_link", token=link_tokens(db, who)[i])


@pytest.mark.parametrize("token", [None, "", "x" * 10_000])
def test_unknown_sign_in_link_is_refused(db: Connection, context: Context, token: str | None) -> None:
    assert outcome(call_rpc(db, ANONYMOUS, "redeem_link", token=token)) == (401, "INVALID_LINK")


def test_session_records_address_and_user_agent(db: Connection, context: Context) -> None:
    login(db, headers=FROM | {"User-Agent": "x" * 400})
    row = db.execute("select ip_address, length(user_agent), role::text from auth.sessions").fetchone()
    assert row == ("203.0.113.7", 300, "partner")


@pytest.mark.parametrize("number", ["abc", "+", "--", "0812345678/0813999", "08l2 3456 7890"])
def test_request_link_with_what_is_no_number_is_refused(db: Connection, number: str) -> None:
    with pytest.raises(psycopg.Error, match="INVALID_PHONE"), db.transaction():
        db.execute("select auth.request_link(%s)", [number])


def test_token_answers_are_not_cached_and_say_how_long_they_are_valid(
    db: Connection, context: Context
) -> None:
    attributes = "select array_agg(attname::text) from pg_attribute where attrelid = %s::regclass"
    who = make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    request_link(db, "+628190000000")
    signed_in = login(db)
    for response in (
        signed_in,
        refresh(db, signed_in.body["refresh_token"]),
        call_rpc(db, ANONYMOUS, "redeem_link", token=link_tokens(db, who)[0]),
    ):
        assert response.headers == {"Cache-Control": "no-store"}
        assert set(response.body) == set(value(db, attributes, "api.session_tokens"))
        claims = caller_of(response.body["access_token"]).extra
        assert response.body["expires_in"] == claims["exp"] - claims["iat"] == 900
    assert "Cache-Control" not in login(db, password="salah-sekali").headers
