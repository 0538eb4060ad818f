"""Signing in and out over HTTP: tokens that rotate, die on reuse, and die at once."""

import uuid
from typing import Any

import httpx
import pytest

from tests.api.conftest import Hub, refused
from tests.support.context import Caller, Connection
from tests.support.rls_dataset import PASSWORD


def login(hub: Hub, email: str = "anggrek@hub.test") -> dict[str, Any]:
    answer = hub.rpc(None, "login", {"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def test_login_returns_tokens_that_work(hub: Hub) -> None:
    tokens = login(hub)
    assert set(tokens) == {"access_token", "token_type", "expires_at", "refresh_token", "role", "subject_id"}
    assert (tokens["role"], tokens["subject_id"]) == ("partner", hub.dataset.west.partner.sub)
    me = hub.rpc(tokens["access_token"], "me")
    assert me.json()["email"] == "anggrek@hub.test"
    assert hub.get(tokens["access_token"], "/me").json()[0] == me.json()


@pytest.mark.parametrize(
    ("email", "role"),
    [("ani@hub.test", "agent"), ("adi@hub.test", "admin"), ("ratna@hub.test", "superadmin")],
)
def test_staff_sign_in_to_the_role_of_their_account(hub: Hub, email: str, role: str) -> None:
    tokens = login(hub, email)
    assert tokens["role"] == role
    assert hub.rpc(tokens["access_token"], "me").json()["role"] == role


def test_a_wrong_password_an_unknown_address_and_a_deleted_partner_are_told_the_same(hub: Hub) -> None:
    bodies = []
    for email in ("anggrek@hub.test", "nobody@hub.test", "mawar@hub.test"):
        answer = hub.rpc(None, "login", {"email": email, "password": "salah-sekali"})
        bodies.append(refused(answer, 401, "INVALID_CREDENTIALS"))
    assert bodies[0] == bodies[1] == bodies[2]
    answer = hub.rpc(None, "login", {"email": "mawar@hub.test", "password": PASSWORD})
    assert refused(answer, 401, "INVALID_CREDENTIALS") == bodies[0]


def test_guessing_is_slowed_down_with_retry_after(hub: Hub) -> None:
    email = f"guess-{uuid.uuid4()}@hub.test"
    for _ in range(5):
        refused(hub.rpc(None, "login", {"email": email, "password": "x" * 12}), 401, "INVALID_CREDENTIALS")
    answer = hub.rpc(None, "login", {"email": email, "password": "x" * 12})
    refused(answer, 429, "TOO_MANY_ATTEMPTS")
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60


def test_a_refresh_token_is_good_once_and_its_reuse_closes_the_session(hub: Hub) -> None:
    first = login(hub)
    second = hub.rpc(None, "refresh_session", {"refresh_token": first["refresh_token"]}).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert hub.rpc(second["access_token"], "me").status_code == 200
    stolen = hub.rpc(None, "refresh_session", {"refresh_token": first["refresh_token"]})
    refused(stolen, 401, "REFRESH_TOKEN_REUSED")
    refused(hub.rpc(second["access_token"], "me"), 401, "SESSION_CLOSED")
    refused(hub.rpc(first["access_token"], "me"), 401, "SESSION_CLOSED")
    late = hub.rpc(None, "refresh_session", {"refresh_token": second["refresh_token"]})
    refused(late, 401, "INVALID_REFRESH_TOKEN")


def test_an_expired_access_token_does_not_stop_the_refresh(hub: Hub) -> None:
    old = hub.gateway.token("partner", hub.dataset.west.partner.sub, minutes=-5)
    tokens = login(hub)
    answer = hub.rpc(old, "refresh_session", {"refresh_token": tokens["refresh_token"]})
    # the gateway refuses the old token before anything is called: frontends send none here
    refused(answer, 401, "PGRST303")
    answer = hub.rpc(None, "refresh_session", {"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 200


def test_logout_kills_the_tokens_at_once(hub: Hub) -> None:
    tokens, other = login(hub), login(hub)
    answer = hub.rpc(tokens["access_token"], "logout")
    assert (answer.status_code, answer.content) == (204, b"")
    refused(hub.get(tokens["access_token"], "/orders"), 401, "SESSION_CLOSED")
    refused(hub.rpc(tokens["access_token"], "logout"), 401, "SESSION_CLOSED")
    refresh = hub.rpc(None, "refresh_session", {"refresh_token": tokens["refresh_token"]})
    refused(refresh, 401, "INVALID_REFRESH_TOKEN")
    assert hub.get(other["access_token"], "/orders").status_code == 200


def test_a_new_password_closes_the_other_sessions(hub: Hub) -> None:
    email = "petrus@hub.test"
    mine, other = login(hub, email), login(hub, email)
    body = {"current_password": PASSWORD, "new_password": "sandi-yang-baru"}
    wrong = hub.rpc(mine["access_token"], "change_password", body | {"current_password": "bukan-ini"})
    refused(wrong, 401, "INVALID_CREDENTIALS")
    weak = hub.rpc(mine["access_token"], "change_password", body | {"new_password": "pendek"})
    refused(weak, 422, "PASSWORD_TOO_WEAK")
    assert hub.rpc(mine["access_token"], "change_password", body).json() == {"changed": True}
    assert hub.rpc(mine["access_token"], "me").status_code == 200
    refused(hub.rpc(other["access_token"], "me"), 401, "SESSION_CLOSED")
    refused(hub.rpc(None, "login", {"email": email, "password": PASSWORD}), 401, "INVALID_CREDENTIALS")


def test_an_agent_orders_for_a_partner_and_the_token_dies_with_the_session(hub: Hub) -> None:
    agent, partner = hub.dataset.west.agent, hub.dataset.west.partner
    started = hub.rpc(agent, "start_shadow_session", {"partner_id": partner.sub})
    assert started.status_code == 200, started.text
    token = started.json()["access_token"]
    me = hub.rpc(token, "me").json()
    assert (me["role"], me["id"], me["acting_agent_id"]) == ("partner", partner.sub, agent.sub)
    order = hub.submit(token)
    assert (order["submission_type"], order["agent_id"]) == ("AGENT_ASSISTED", agent.sub)
    assert order["partner_id"] == partner.sub
    assert hub.get(partner, f"/orders?id=eq.{order['id']}").json()[0]["agent_id"] == agent.sub
    refused(
        hub.rpc(token, "change_password", {"current_password": "x", "new_password": "y"}), 403, "NOT_ALLOWED"
    )
    assert hub.rpc(agent, "end_shadow_session").json() >= 1
    refused(hub.rpc(token, "me"), 401, "SESSION_CLOSED")
    refused(hub.get(token, "/orders"), 401, "SESSION_CLOSED")


def test_logging_out_in_shadow_mode_ends_that_session_and_not_the_agents(hub: Hub) -> None:
    agent = login(hub, "ani@hub.test")["access_token"]
    body = {"partner_id": hub.dataset.west.partner.sub}
    token = hub.rpc(agent, "start_shadow_session", body).json()["access_token"]
    other = hub.rpc(agent, "start_shadow_session", body).json()["access_token"]
    assert hub.rpc(token, "logout").status_code == 204
    refused(hub.rpc(token, "me"), 401, "SESSION_CLOSED")
    assert hub.rpc(other, "me").status_code == 200
    assert hub.rpc(agent, "me").json()["role"] == "agent"


def test_an_agent_opens_no_session_for_a_partner_of_another_region(hub: Hub) -> None:
    for partner in (hub.dataset.east.partner.sub, hub.dataset.gone.sub, str(uuid.uuid4())):
        answer = hub.rpc(hub.dataset.west.agent, "start_shadow_session", {"partner_id": partner})
        refused(answer, 404, "NOT_FOUND")
    answer = hub.rpc(hub.dataset.west.partner, "start_shadow_session", {"partner_id": partner})
    refused(answer, 403, "42501")


def test_the_inactive_and_the_suspended_are_refused_at_once(hub: Hub, conn: Connection) -> None:
    cases = [
        (hub.dataset.east.partner, "app.partners", "is_active = false", "is_active = true"),
        (hub.dataset.east.agent, "app.agents", "is_active = false", "is_active = true"),
        (hub.dataset.east.subdist, "app.sub_distributors", "status = 'SUSPENDED'", "status = 'ACTIVE'"),
    ]
    for who, table, off, on in cases:
        assert hub.rpc(who, "me").status_code == 200
        conn.execute(f"update {table} set {off} where id = %s", [who.sub])
        refused(hub.rpc(who, "me"), 401, "ACCOUNT_INACTIVE")
        refused(hub.get(who, "/orders"), 401, "ACCOUNT_INACTIVE")
        conn.execute(f"update {table} set {on} where id = %s", [who.sub])
        assert hub.rpc(who, "me").status_code == 200


def test_a_promoted_agents_old_token_is_worth_nothing(hub: Hub) -> None:
    # role and account have to agree: no token opens another role than the account's
    for role in ("admin", "superadmin", "subdist"):
        refused(hub.rpc(Caller(role, hub.dataset.west.agent.sub), "me"), 401, "ACCOUNT_INACTIVE")


@pytest.mark.parametrize(
    ("name", "code"),
    [("forged", "PGRST301"), ("garbage", "PGRST301"), ("expired", "PGRST303"), ("no algorithm", "PGRST301")],
)
def test_a_token_that_is_not_ours_is_refused(hub: Hub, name: str, code: str) -> None:
    good = hub.token(hub.dataset.west.partner)
    token = {
        "forged": good[:-6] + "AAAAAA",
        "garbage": "not-a-token",
        "expired": hub.gateway.token("partner", hub.dataset.west.partner.sub, minutes=-5),
        "no algorithm": "eyJhbGciOiJub25lIn0." + good.split(".")[1] + ".",
    }[name]
    answer = hub.get(token, "/orders")
    refused(answer, 401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_role_that_the_gateway_may_not_take_is_refused(hub: Hub) -> None:
    for role in ("postgres", "hub_owner", "authenticator", "pg_read_all_data", "nobody-at-all"):
        answer = hub.get(hub.gateway.token(role, hub.dataset.admin.sub), "/orders")
        assert answer.status_code in (401, 403), (role, answer.text)


def test_without_a_token_nothing_can_be_read(hub: Hub) -> None:
    paths = hub.http.get("/", headers=hub.headers(hub.dataset.admin)).json()["paths"]
    for path in paths:
        if path.startswith("/rpc/") or path == "/":
            continue
        answer: httpx.Response = hub.get(None, path)
        assert answer.status_code == 401, (path, answer.text)


def test_however_often_a_list_was_refused_it_is_answered_the_next_time(hub: Hub) -> None:
    # what the server skips after a refusal was not prepared, whatever the gateway's driver believes
    for _ in range(10):
        refused(hub.get(Caller("partner", str(uuid.uuid4())), "/redemptions"), 401, "ACCOUNT_INACTIVE")
    for _ in range(3):
        assert hub.get(hub.dataset.west.partner, "/redemptions").status_code == 200
