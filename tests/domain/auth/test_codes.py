"""Invitations and forgotten passwords: codes that set a password once."""

import itertools
from typing import Any

import pytest

from tests.domain.auth.conftest import Anonymously
from tests.support.calls import call_rpc, refused
from tests.support.context import Caller, Connection, Context, call, set_config, value
from tests.support.factories import insert, make_agent, make_partner, make_subdist
from tests.support.rls_dataset import PASSWORD

pytestmark = [pytest.mark.context(partners=2, products=1), pytest.mark.usefixtures("passwords")]

EMAIL = "salon0@hub.test"
NEW = "sandi-yang-baru"
_addresses = itertools.count(1)


@pytest.fixture
def superadmin(db: Connection, context: Context) -> Caller:
    """A superadmin."""
    return Caller("superadmin", make_agent(db, None, role="SUPERADMIN").sub)


def codes(db: Connection, template: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Recipient, channel and variables of the messages of a template."""
    return [
        (str(recipient), channel, variables)
        for recipient, channel, variables in db.execute(
            "select recipient_id, channel::text, variables from app.messages where template = %s"
            " order by position",
            [template],
        )
    ]


def request_reset(anonymously: Anonymously, email: str = EMAIL) -> Any:
    return anonymously("request_password_reset", email=email)


def reset_code(db: Connection, anonymously: Anonymously, email: str = EMAIL) -> str:
    request_reset(anonymously, email)
    return str(codes(db, "password_reset")[-1][2]["token"])


def reset(anonymously: Anonymously, token: str | None, new: str | None = NEW) -> Any:
    return anonymously("reset_password", token=token, new_password=new)


def sign_in(anonymously: Anonymously, password: str, email: str = EMAIL) -> Any:
    return anonymously("login", email=email, password=password)


def test_invited_partner_sets_a_first_password_and_signs_in(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    who = make_partner(db, None, email="baru@hub.test", phone="0812 9999 0000")
    invitation = call(db, context.admin, "invite", role="partner", id=who.sub)
    assert (invitation["role"], invitation["id"], invitation["channel"]) == ("partner", who.sub, "WHATSAPP")
    [(recipient, channel, variables)] = codes(db, "invitation")
    assert (recipient, channel, variables["name"], variables["hours"]) == (
        who.sub, "WHATSAPP", "Salon Baru", 168,
    )  # fmt: skip
    assert reset(anonymously, variables["token"]).body == {"changed": True, "role": "partner"}
    assert sign_in(anonymously, NEW, "baru@hub.test").body["subject_id"] == who.sub


def test_account_without_a_number_is_invited_by_mail(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = make_agent(db, None, role="ADMIN")
    assert call(db, superadmin, "invite", role="admin", id=who.sub)["channel"] == "EMAIL"
    [message] = db.execute("select recipient_type, channel::text from app.messages").fetchall()
    assert message == ("AGENT", "EMAIL")


@pytest.mark.parametrize("call_name", ["invite", "revoke_sessions"])
@pytest.mark.parametrize(
    ("role", "allowed"), [("partner", True), ("agent", True), ("admin", False), ("superadmin", False)]
)
def test_admins_manage_all_accounts_but_those_of_headquarters(
    db: Connection, context: Context, superadmin: Caller, call_name: str, role: str, allowed: bool
) -> None:
    who = {
        "partner": context.partners[0], "agent": context.agents[0], "admin": context.admin2,
        "superadmin": superadmin,
    }[role]  # fmt: skip
    call(db, superadmin, call_name, role=role, id=who.sub)
    if allowed:
        call(db, context.admin, call_name, role=role, id=who.sub)
    else:
        with refused(db, "NOT_ALLOWED"):
            call(db, context.admin, call_name, role=role, id=who.sub)


@pytest.mark.parametrize("call_name", ["invite", "revoke_sessions"])
def test_account_of_another_role_or_a_deleted_one_is_unknown(
    db: Connection, context: Context, call_name: str
) -> None:
    partner, agent = context.partners[0].sub, context.agents[0].sub
    db.execute("update app.partners set deleted_at = now() where id = %s", [context.partners[1].sub])
    wrong = [("partner", agent), ("agent", partner), ("partner", context.partners[1].sub)]
    for known, subject in wrong:
        with refused(db, "NOT_FOUND"):
            call(db, context.admin, call_name, role=known, id=subject)
    for role in (None, "", "PARTNER", "erp", "anon"):
        with refused(db, "INVALID_ARGUMENT"):
            call(db, context.admin, call_name, role=role, id=partner)


def test_inactive_account_and_a_sub_distributor_are_not_invited(db: Connection, context: Context) -> None:
    db.execute("update app.partners set is_active = false where id = %s", [context.partners[0].sub])
    with refused(db, "NOT_FOUND"):
        call(db, context.admin, "invite", role="partner", id=context.partners[0].sub)
    with refused(db, "INVALID_ARGUMENT"):
        call(db, context.admin, "invite", role="subdist", id=context.subdists[0].sub)
    assert value(db, "select count(*) from auth.password_codes") == 0


def test_reset_answers_the_same_for_every_address(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    db.execute("update app.partners set is_active = false where email = 'salon1@hub.test'")
    for email in (EMAIL, " SALON0@Hub.Test ", "unknown@hub.test", "salon1@hub.test"):
        response = request_reset(anonymously, email)
        assert (response.status, response.body) == (200, {"sent": True, "minutes": 60})
    found = codes(db, "password_reset")
    assert [(r, c, v["account"]) for r, c, v in found] == [(context.partners[0].sub, "EMAIL", "mitra")] * 2


def test_reset_is_throttled_by_address_of_the_account_and_of_the_caller(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    for email in (EMAIL, "unknown@hub.test"):
        for _ in range(5):
            assert request_reset(anonymously, email).status == 200
        response = request_reset(anonymously, email)
        assert (response.status, response.body["code"]) == (429, "TOO_MANY_ATTEMPTS")
        assert response.headers == {"Retry-After": "900"}
    set_config(db, context, "auth.max_failures_per_address", 2)
    where = {"X-Forwarded-For": "203.0.113.7"}
    statuses = [
        anonymously("request_password_reset", where, email=f"a{next(_addresses)}@hub.test").status
        for _ in range(3)
    ]
    assert statuses == [200, 200, 429]
    assert anonymously("login", where, email=EMAIL, password=PASSWORD).status == 200


def test_new_password_replaces_the_old_one_and_closes_every_session(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    session = sign_in(anonymously, PASSWORD).body
    token = reset_code(db, anonymously)
    other = reset_code(db, anonymously)
    assert reset(anonymously, token).status == 200
    refreshed = anonymously("refresh_session", refresh_token=session["refresh_token"])
    assert refreshed.body["code"] == "INVALID_REFRESH_TOKEN"
    assert sign_in(anonymously, PASSWORD).status == 401
    assert sign_in(anonymously, NEW).status == 200
    for used in (token, other):
        response = reset(anonymously, used, "sandi-yang-lain")
        assert (response.status, response.body["code"]) == (401, "INVALID_LINK")


def test_reset_of_an_agent_ends_their_shadow_sessions(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    call(db, context.agents[0], "start_shadow_session", partner_id=context.partners[0].sub)
    assert reset(anonymously, reset_code(db, anonymously, "citra@hub.test")).body["role"] == "agent"
    assert value(db, "select count(*) from app.agent_sessions where ended_at is null") == 0


def test_weak_password_leaves_the_code_valid(db: Connection, anonymously: Anonymously) -> None:
    token = reset_code(db, anonymously)
    for weak in ("pendek", "x" * 73, "", None):
        with refused(db, "PASSWORD_TOO_WEAK"):
            reset(anonymously, token, weak)
    assert reset(anonymously, token).status == 200


@pytest.mark.parametrize(
    "change",
    [
        "update auth.password_codes set expires_at = now()",
        "update app.partners set is_active = false",
        "update app.partners set deleted_at = now()",
        "delete from auth.password_codes",
    ],
)
def test_code_that_expired_or_whose_account_is_inactive_is_refused(
    db: Connection, anonymously: Anonymously, change: str
) -> None:
    token = reset_code(db, anonymously)
    db.execute(change.encode())
    before = value(db, "select string_agg(password_hash, '|' order by id) from app.partners")
    assert reset(anonymously, token).body["code"] == "INVALID_LINK"
    assert value(db, "select string_agg(password_hash, '|' order by id) from app.partners") == before


@pytest.mark.parametrize("token", [None, "", "x", "a" * 10_000, "' or 1=1 --"])
def test_unknown_code_is_refused(anonymously: Anonymously, token: str | None) -> None:
    assert reset(anonymously, token).body["code"] == "INVALID_LINK"


def test_reset_lifts_the_lock_of_the_account(db: Connection, anonymously: Anonymously) -> None:
    for _ in range(6):
        sign_in(anonymously, "salah-sekali")
    assert sign_in(anonymously, PASSWORD).status == 429
    for _ in range(6):
        request_reset(anonymously)
    token = codes(db, "password_reset")[0][2]["token"]
    assert reset(anonymously, token).status == 200, "further requests leave the first code valid"
    assert sign_in(anonymously, NEW).status == 200
    assert request_reset(anonymously).status == 200


def test_changed_password_ends_the_codes_that_were_sent(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    token = reset_code(db, anonymously)
    who = context.partners[0]
    call_rpc(db, who, "change_password", current_password=PASSWORD, new_password=NEW)
    assert reset(anonymously, token).body["code"] == "INVALID_LINK"


@pytest.mark.parametrize(
    ("change", "ends"),
    [("email = 'pindah@hub.test'", True), ("phone = '0813-9999-0000'", True), ("phone = null", True),
     ("phone = '+62 813 0000000', email = email, address = 'Pindah', credit_limit = 7", False)],
)  # fmt: skip
def test_corrected_number_or_address_ends_the_codes_that_were_sent(
    db: Connection, anonymously: Anonymously, change: str, ends: bool
) -> None:
    token = reset_code(db, anonymously)
    db.execute(f"update app.partners set {change} where email = %s".encode(), [EMAIL])
    assert reset(anonymously, token).status == (401 if ends else 200)


def test_corrected_number_of_a_sub_distributor_ends_their_links(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    who = make_subdist(db, context.regions["papua"], whatsapp_number="+628190000000")
    anonymously("request_link", whatsapp_number="+628190000000")
    token = value(db, "select variables ->> 'token' from app.messages where recipient_id = %s", who.sub)
    db.execute("update app.sub_distributors set whatsapp_number = '+628190000001' where id = %s", [who.sub])
    assert anonymously("redeem_link", token=token).body["code"] == "INVALID_LINK"


@pytest.mark.parametrize("change", ["email = 'pindah@hub.test'", "phone = '0813-9999-0000'"])
def test_corrected_address_of_an_agent_ends_the_codes_that_were_sent(
    db: Connection, context: Context, anonymously: Anonymously, change: str
) -> None:
    token = reset_code(db, anonymously, "citra@hub.test")
    db.execute(f"update app.agents set {change} where email = 'citra@hub.test'".encode())
    assert reset(anonymously, token).body["code"] == "INVALID_LINK"


def test_one_address_with_two_accounts_gets_a_code_for_each(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    agent = insert(db, "agents", email=EMAIL, full_name="Sama", role="ADMIN", password_hash="x")
    request_reset(anonymously)
    found = {v["account"]: (r, v["token"]) for r, _, v in codes(db, "password_reset")}
    assert {account: recipient for account, (recipient, _) in found.items()} == {
        "mitra": context.partners[0].sub, "staf": agent,
    }  # fmt: skip
    assert reset(anonymously, found["staf"][1]).body == {"changed": True, "role": "admin"}
    assert sign_in(anonymously, PASSWORD).body["role"] == "partner", "the partner's password is unchanged"


@pytest.mark.parametrize("kind", ["invitation", "password_reset"])
def test_code_is_stored_nowhere_but_in_its_pending_message(
    db: Connection, context: Context, anonymously: Anonymously, kind: str
) -> None:
    if kind == "invitation":
        call(db, context.admin, "invite", role="partner", id=context.partners[0].sub)
    else:
        request_reset(anonymously)
    [(_, _, variables)] = codes(db, kind)
    [(message, text)] = db.execute("select id, body from app.claim_messages(10, 60)").fetchall()
    assert variables["token"] in text
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    reset(anonymously, variables["token"])
    db.execute("select app.flush_audit_buffer()")
    tables = db.execute(
        "select format('%I.%I', schemaname, tablename) from pg_tables"
        " where schemaname in ('app', 'auth', 'jobs')"
    ).fetchall()
    for (table,) in tables:
        rows = f"select count(*) from {table} as t where strpos(t::text, %s) > 0"
        assert value(db, rows, variables["token"]) == 0, table
    change = "select old_value || new_value from app.audit_logs where target_type = 'partners'"
    assert value(db, change + " and action = 'UPDATE'") == {"password_hash": "***"}


def test_code_of_a_failed_message_moves_to_the_mail_and_is_erased(db: Connection, context: Context) -> None:
    call(db, context.admin, "invite", role="partner", id=context.partners[0].sub)
    [(message,)] = db.execute("select id from app.claim_messages(10, 60)").fetchall()
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    assert [(c, "token" in v) for _, c, v in codes(db, "invitation")] == [
        ("WHATSAPP", False), ("EMAIL", True),
    ]  # fmt: skip


def test_revoked_sessions_are_refused_at_once(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    first, second = (sign_in(anonymously, PASSWORD).body for _ in range(2))
    other = sign_in(anonymously, PASSWORD, "salon1@hub.test").body
    assert call(db, context.admin, "revoke_sessions", role="partner", id=context.partners[0].sub) == 2
    assert call(db, context.admin, "revoke_sessions", role="partner", id=context.partners[0].sub) == 0
    for closed in (first, second):
        assert anonymously("refresh_session", refresh_token=closed["refresh_token"]).status == 401
    assert anonymously("refresh_session", refresh_token=other["refresh_token"]).status == 200
    assert sign_in(anonymously, PASSWORD).status == 200


def test_revoking_the_sessions_of_an_agent_ends_shadow_sessions(db: Connection, context: Context) -> None:
    agent = context.agents[0]
    call(db, agent, "start_shadow_session", partner_id=context.partners[0].sub)
    assert call(db, context.admin, "revoke_sessions", role="agent", id=agent.sub) == 1
    assert value(db, "select count(*) from app.agent_sessions where ended_at is null") == 0


@pytest.mark.parametrize(
    ("table", "off", "on"),
    [
        ("partners", "is_active = false", "is_active = true"),
        ("partners", "deleted_at = now()", "deleted_at = null"),
        ("agents", "is_active = false", "is_active = true"),
        ("agents", "role = 'ADMIN'", "role = 'SALESMAN'"),
        ("sub_distributors", "status = 'SUSPENDED'", "status = 'ACTIVE'"),
    ],
)
def test_deactivation_closes_sessions_for_good(
    db: Connection, context: Context, anonymously: Anonymously, table: str, off: str, on: str
) -> None:
    who = {
        "partners": context.partners[0], "agents": context.agents[0], "sub_distributors": context.subdists[0]
    }[table]  # fmt: skip
    token = value(db, "select auth.open_session(%s, %s)", who.sub, who.role)["refresh_token"]
    for change in (off, on):
        db.execute(f"update app.{table} set {change} where id = %s".encode(), [who.sub])
    assert anonymously("refresh_session", refresh_token=token).body["code"] == "INVALID_REFRESH_TOKEN"


def test_other_changes_of_an_account_close_no_session(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    who = make_subdist(db, context.regions["papua"])
    sessions = [
        value(db, "select auth.open_session(%s, %s)", caller.sub, caller.role)["refresh_token"]
        for caller in (context.partners[0], context.agents[0], who)
    ]
    db.execute("update app.partners set is_active = true, deleted_at = null, credit_limit = 1, tier = 'GOLD'")
    db.execute("update app.agents set is_active = true, role = role, full_name = 'X'")
    db.execute("update app.sub_distributors set status = 'ACTIVE', business_name = 'X'")
    for token in sessions:
        assert anonymously("refresh_session", refresh_token=token).status == 200
