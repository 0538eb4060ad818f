"""Sign-in and sign-out over HTTP: tokens rotate, reuse closes the session, revocation is immediate."""

import uuid
from typing import Any

import httpx
import pytest

from tests.api.conftest import ApiClient, assert_error
from tests.support.context import Caller, Connection
from tests.support.rls_dataset import PASSWORD


def login(api: ApiClient, email: str = "anggrek@hub.test") -> dict[str, Any]:
    answer = api.rpc(None, "login", {"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def test_login_returns_tokens_that_work(api: ApiClient) -> None:
    tokens = login(api)
    assert set(tokens) == {
        "access_token", "token_type", "expires_at", "expires_in", "refresh_token", "device_token", "role",
        "subject_id",
    }  # fmt: skip
    assert (tokens["role"], tokens["subject_id"]) == ("partner", api.dataset.west.partner.sub)
    me = api.rpc(tokens["access_token"], "me")
    assert me.json()["email"] == "anggrek@hub.test"
    assert api.get(tokens["access_token"], "/me").json()[0] == me.json()


@pytest.mark.parametrize(
    ("email", "role"),
    [("ani@hub.test", "agent"), ("adi@hub.test", "admin"), ("ratna@hub.test", "superadmin")],
)
def test_staff_sign_in_to_the_role_of_their_account(api: ApiClient, email: str, role: str) -> None:
    tokens = login(api, email)
    assert tokens["role"] == role
    assert api.rpc(tokens["access_token"], "me").json()["role"] == role


def test_wrong_password_unknown_address_and_deleted_partner_get_the_same_error(api: ApiClient) -> None:
    bodies = []
    for email in ("anggrek@hub.test", "unknown@hub.test", "mawar@hub.test"):
        answer = api.rpc(None, "login", {"email": email, "password": "salah-sekali"})
        bodies.append(assert_error(answer, 401, "INVALID_CREDENTIALS"))
    assert bodies[0] == bodies[1] == bodies[2]
    answer = api.rpc(None, "login", {"email": "mawar@hub.test", "password": PASSWORD})
    assert assert_error(answer, 401, "INVALID_CREDENTIALS") == bodies[0]


def test_repeated_failures_are_throttled_with_retry_after(api: ApiClient) -> None:
    email = f"guess-{uuid.uuid4()}@hub.test"
    for _ in range(5):
        assert_error(
            api.rpc(None, "login", {"email": email, "password": "x" * 12}), 401, "INVALID_CREDENTIALS"
        )
    answer = api.rpc(None, "login", {"email": email, "password": "x" * 12})
    assert_error(answer, 429, "TOO_MANY_ATTEMPTS")
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert answer.json()["details"] == f"retry_after: {answer.headers['Retry-After']}"


def test_answers_with_tokens_are_not_cached(api: ApiClient) -> None:
    answers = [
        api.rpc(None, "login", {"email": "anggrek@hub.test", "password": PASSWORD}),
        api.rpc(None, "refresh_session", {"refresh_token": login(api)["refresh_token"]}),
        api.rpc(api.dataset.west.agent, "start_shadow_session", {"partner_id": api.dataset.west.partner.sub}),
    ]
    assert [answer.headers.get("Cache-Control") for answer in answers] == ["no-store"] * 3
    assert [answer.json()["expires_in"] for answer in answers] == [900, 900, 3600]


def test_a_known_device_signs_in_while_strangers_are_locked_out(api: ApiClient) -> None:
    email = "melati@hub.test"
    body = {"email": email, "password": PASSWORD}
    wrong = body | {"password": "salah-sekali"}
    device = login(api, email)["device_token"]
    for _ in range(6):
        api.rpc(None, "login", wrong)
    assert_error(api.rpc(None, "login", body), 429, "TOO_MANY_ATTEMPTS")
    answer = api.rpc(None, "login", body, **{"X-Device-Token": device})
    assert answer.status_code == 200, answer.text


def test_an_invited_partner_sets_a_password_and_a_forgotten_one_is_replaced(
    api: ApiClient, conn: Connection
) -> None:
    partner = conn.execute(
        "insert into app.partners (email, password_hash, business_name)"
        " values ('undangan@hub.test', '!', 'Salon Undangan') returning id::text"
    ).fetchone()
    assert partner
    invitation = api.rpc(api.dataset.admin, "invite", {"role": "partner", "id": partner[0]})
    assert (invitation.status_code, invitation.json()["channel"]) == (200, "EMAIL"), invitation.text
    assert "token" not in invitation.text
    for template, password in (("invitation", "sandi-pertama"), ("password_reset", "sandi-yang-baru")):
        if template == "password_reset":
            answer = api.rpc(None, "request_password_reset", {"email": "undangan@hub.test"})
            assert answer.json() == {"sent": True, "minutes": 60}
        [(message, code)] = [
            (m["id"], m["variables"]["token"])
            for m in api.rpc(api.dataset.messenger, "claim_messages", {"max": 1000}).json()
            if m["template"] == template and m["recipient_name"] == "Salon Undangan"
        ]
        sent = {"sent": [{"message_id": message, "provider_id": f"mail.{uuid.uuid4()}"}]}
        assert api.rpc(api.dataset.messenger, "messages_sent", sent).status_code == 200
        answer = api.rpc(None, "reset_password", {"token": code, "new_password": password})
        assert answer.json() == {"changed": True, "role": "partner"}
        assert_error(
            api.rpc(None, "reset_password", {"token": code, "new_password": password}), 401, "INVALID_LINK"
        )
        answer = api.rpc(None, "login", {"email": "undangan@hub.test", "password": password})
        assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    assert api.rpc(api.dataset.admin, "revoke_sessions", {"role": "partner", "id": partner[0]}).json() == 1
    assert_error(api.rpc(token, "me"), 401, "SESSION_CLOSED")


def test_a_person_with_two_accounts_chooses_the_role(api: ApiClient, conn: Connection) -> None:
    conn.execute(
        "insert into app.agents (email, password_hash, full_name, role)"
        " select email, password_hash, 'Sama', 'ADMIN' from app.partners where email = 'melati@hub.test'"
    )
    body = {"email": "melati@hub.test", "password": PASSWORD}
    conn.execute("delete from auth.login_attempts")
    error = assert_error(api.rpc(None, "login", body), 409, "CHOOSE_ROLE")
    assert error["details"] == "partner, admin"
    for role in ("partner", "admin"):
        assert api.rpc(None, "login", body | {"role": role}).json()["role"] == role
    conn.execute("delete from app.agents where email = 'melati@hub.test'")


def test_a_partner_changes_their_profile_and_sees_who_serves_them(api: ApiClient) -> None:
    who = api.dataset.west.partner
    answer = api.rpc(who, "update_profile", {"phone": "0813-1000-0001", "chair_count": 4})
    assert (answer.json()["phone"], answer.json()["chair_count"]) == ("+6281310000001", 4), answer.text
    assert_error(api.rpc(who, "update_profile", {"phone": "0813/0814"}), 422, "INVALID_PHONE")
    assert_error(api.rpc(who, "update_profile", {"phone": "+628131000002"}), 409, "PHONE_IN_USE")
    contacts = api.get(who, "/my_contacts?order=role").json()
    assert [(c["role"], c["id"]) for c in contacts] == [
        ("agent", api.dataset.west.agent.sub), ("subdist", api.dataset.west.subdist.sub),
    ]  # fmt: skip
    assert api.get(api.dataset.admin, "/my_contacts").status_code == 403


def test_late_reuse_of_a_refresh_token_closes_the_session(api: ApiClient, conn: Connection) -> None:
    first = login(api)
    second = api.rpc(None, "refresh_session", {"refresh_token": first["refresh_token"]}).json()
    assert second["refresh_token"] != first["refresh_token"]
    repeated = api.rpc(None, "refresh_session", {"refresh_token": first["refresh_token"]}).json()
    assert repeated["refresh_token"] == second["refresh_token"]
    assert api.rpc(second["access_token"], "me").status_code == 200
    conn.execute("update auth.refresh_tokens set used_at = used_at - interval '31 seconds'")
    stolen = api.rpc(None, "refresh_session", {"refresh_token": first["refresh_token"]})
    assert_error(stolen, 401, "REFRESH_TOKEN_REUSED")
    assert_error(api.rpc(second["access_token"], "me"), 401, "SESSION_CLOSED")
    assert_error(api.rpc(first["access_token"], "me"), 401, "SESSION_CLOSED")
    late = api.rpc(None, "refresh_session", {"refresh_token": second["refresh_token"]})
    assert_error(late, 401, "INVALID_REFRESH_TOKEN")


def test_an_expired_access_token_does_not_stop_the_refresh(api: ApiClient) -> None:
    old = api.gateway.token("partner", api.dataset.west.partner.sub, minutes=-5)
    tokens = login(api)
    answer = api.rpc(old, "refresh_session", {"refresh_token": tokens["refresh_token"]})
    # the gateway refuses the expired token before any call: frontends send none here
    assert_error(answer, 401, "PGRST303")
    answer = api.rpc(None, "refresh_session", {"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 200


def test_logout_revokes_the_tokens_at_once(api: ApiClient) -> None:
    tokens, other = login(api), login(api)
    answer = api.rpc(tokens["access_token"], "logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert_error(api.get(tokens["access_token"], "/orders"), 401, "SESSION_CLOSED")
    assert_error(api.rpc(tokens["access_token"], "logout"), 401, "SESSION_CLOSED")
    refresh = api.rpc(None, "refresh_session", {"refresh_token": tokens["refresh_token"]})
    assert_error(refresh, 401, "INVALID_REFRESH_TOKEN")
    assert api.get(other["access_token"], "/orders").status_code == 200


def test_a_new_password_closes_the_other_sessions(api: ApiClient) -> None:
    email = "petrus@hub.test"
    mine, other = login(api, email), login(api, email)
    body = {"current_password": PASSWORD, "new_password": "sandi-yang-baru"}
    wrong = api.rpc(mine["access_token"], "change_password", body | {"current_password": "bukan-ini"})
    assert_error(wrong, 401, "INVALID_CREDENTIALS")
    weak = api.rpc(mine["access_token"], "change_password", body | {"new_password": "pendek"})
    assert_error(weak, 422, "PASSWORD_TOO_WEAK")
    assert api.rpc(mine["access_token"], "change_password", body).json() == {"changed": True}
    assert api.rpc(mine["access_token"], "me").status_code == 200
    assert_error(api.rpc(other["access_token"], "me"), 401, "SESSION_CLOSED")
    assert_error(api.rpc(None, "login", {"email": email, "password": PASSWORD}), 401, "INVALID_CREDENTIALS")


def test_a_shadow_token_is_refused_once_its_session_ends(api: ApiClient) -> None:
    agent, partner = api.dataset.west.agent, api.dataset.west.partner
    started = api.rpc(agent, "start_shadow_session", {"partner_id": partner.sub})
    assert started.status_code == 200, started.text
    token = started.json()["access_token"]
    me = api.rpc(token, "me").json()
    assert (me["role"], me["id"], me["acting_agent_id"]) == ("partner", partner.sub, agent.sub)
    order = api.submit(token)
    assert (order["submission_type"], order["agent_id"]) == ("AGENT_ASSISTED", agent.sub)
    assert order["partner_id"] == partner.sub
    assert api.get(partner, f"/orders?id=eq.{order['id']}").json()[0]["agent_id"] == agent.sub
    assert_error(
        api.rpc(token, "change_password", {"current_password": "x", "new_password": "y"}), 403, "NOT_ALLOWED"
    )
    assert api.rpc(agent, "end_shadow_session").json() >= 1
    assert_error(api.rpc(token, "me"), 401, "SESSION_CLOSED")
    assert_error(api.get(token, "/orders"), 401, "SESSION_CLOSED")


def test_logout_in_shadow_mode_ends_only_the_shadow_session(api: ApiClient) -> None:
    agent = login(api, "ani@hub.test")["access_token"]
    body = {"partner_id": api.dataset.west.partner.sub}
    token = api.rpc(agent, "start_shadow_session", body).json()["access_token"]
    other = api.rpc(agent, "start_shadow_session", body).json()["access_token"]
    assert api.rpc(token, "logout").status_code == 204
    assert_error(api.rpc(token, "me"), 401, "SESSION_CLOSED")
    assert api.rpc(other, "me").status_code == 200
    assert api.rpc(agent, "me").json()["role"] == "agent"


def test_an_agent_opens_no_session_for_a_partner_of_another_region(api: ApiClient) -> None:
    for partner in (api.dataset.east.partner.sub, api.dataset.deleted.sub, str(uuid.uuid4())):
        answer = api.rpc(api.dataset.west.agent, "start_shadow_session", {"partner_id": partner})
        assert_error(answer, 404, "NOT_FOUND")
    answer = api.rpc(api.dataset.west.partner, "start_shadow_session", {"partner_id": partner})
    assert_error(answer, 403, "42501")


def test_inactive_and_suspended_accounts_are_refused_at_once(api: ApiClient, conn: Connection) -> None:
    cases = [
        (api.dataset.east.partner, "app.partners", "is_active = false", "is_active = true"),
        (api.dataset.east.agent, "app.agents", "is_active = false", "is_active = true"),
        (api.dataset.east.subdist, "app.sub_distributors", "status = 'SUSPENDED'", "status = 'ACTIVE'"),
    ]
    for who, table, off, on in cases:
        assert api.rpc(who, "me").status_code == 200
        conn.execute(f"update {table} set {off} where id = %s", [who.sub])
        assert_error(api.rpc(who, "me"), 401, "ACCOUNT_INACTIVE")
        assert_error(api.get(who, "/orders"), 401, "ACCOUNT_INACTIVE")
        conn.execute(f"update {table} set {on} where id = %s", [who.sub])
        assert api.rpc(who, "me").status_code == 200


def test_the_old_token_of_a_promoted_agent_is_refused(api: ApiClient) -> None:
    # the token's role must be the account's role
    for role in ("admin", "superadmin", "subdist"):
        assert_error(api.rpc(Caller(role, api.dataset.west.agent.sub), "me"), 401, "ACCOUNT_INACTIVE")


@pytest.mark.parametrize(
    ("name", "code"),
    [("forged", "PGRST301"), ("garbage", "PGRST301"), ("expired", "PGRST303"), ("no algorithm", "PGRST301")],
)
def test_a_token_with_a_wrong_signature_is_refused(api: ApiClient, name: str, code: str) -> None:
    good = api.token(api.dataset.west.partner)
    token = {
        "forged": good[:-6] + "AAAAAA",
        "garbage": "not-a-token",
        "expired": api.gateway.token("partner", api.dataset.west.partner.sub, minutes=-5),
        "no algorithm": "eyJhbGciOiJub25lIn0." + good.split(".")[1] + ".",
    }[name]
    answer = api.get(token, "/orders")
    assert_error(answer, 401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_role_not_granted_to_the_gateway_is_refused(api: ApiClient) -> None:
    for role in ("postgres", "hub_owner", "authenticator", "pg_read_all_data", "no-such-role"):
        answer = api.get(api.gateway.token(role, api.dataset.admin.sub), "/orders")
        assert answer.status_code in (401, 403), (role, answer.text)


def test_without_a_token_nothing_can_be_read(api: ApiClient) -> None:
    paths = api.http.get("/", headers=api.headers(api.dataset.admin)).json()["paths"]
    for path in paths:
        if path.startswith("/rpc/") or path == "/":
            continue
        answer: httpx.Response = api.get(None, path)
        assert answer.status_code == 401, (path, answer.text)


def test_a_list_works_again_after_repeated_refusals(api: ApiClient) -> None:
    # statements that the server skips after an error are not prepared, though the driver may assume so
    for _ in range(10):
        assert_error(api.get(Caller("partner", str(uuid.uuid4())), "/redemptions"), 401, "ACCOUNT_INACTIVE")
    for _ in range(3):
        assert api.get(api.dataset.west.partner, "/redemptions").status_code == 200
