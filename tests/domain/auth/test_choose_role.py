"""One person with the same e-mail address as partner and as agent."""

import pytest

from tests.domain.auth.conftest import Anonymously
from tests.support.calls import refused
from tests.support.context import Connection, Context, value
from tests.support.factories import insert
from tests.support.rls_dataset import PASSWORD

pytestmark = [pytest.mark.context(partners=1, products=1), pytest.mark.usefixtures("passwords")]

EMAIL = "salon0@hub.test"


def second_account(db: Connection, password: str = PASSWORD, **columns: object) -> str:
    """An admin with the partner's address."""
    password_hash = value(db, "select extensions.crypt(%s, extensions.gen_salt('bf', 4))", password)
    row = {"email": EMAIL, "full_name": "Sama", "role": "ADMIN", "password_hash": password_hash} | columns
    return insert(db, "agents", **row)


def test_same_password_for_both_accounts_asks_for_the_role(
    db: Connection, context: Context, anonymously: Anonymously
) -> None:
    agent = second_account(db)
    for _ in range(7):
        response = anonymously("login", email=EMAIL, password=PASSWORD)
        assert (response.status, response.body["code"]) == (409, "CHOOSE_ROLE"), "never counted as a failure"
    assert response.body["details"] == "partner, admin"
    assert value(db, "select count(*) from auth.sessions") == 0
    for role, subject in (("partner", context.partners[0].sub), ("admin", agent)):
        response = anonymously("login", email=EMAIL, password=PASSWORD, role=role)
        assert (response.body["role"], response.body["subject_id"]) == (role, subject)


def test_different_passwords_decide_the_account(db: Connection, anonymously: Anonymously) -> None:
    second_account(db, "lain-sekali")
    assert anonymously("login", email=EMAIL, password=PASSWORD).body["role"] == "partner"
    assert anonymously("login", email=EMAIL, password="lain-sekali").body["role"] == "admin"
    response = anonymously("login", email=EMAIL, password="lain-sekali", role="partner")
    assert (response.status, response.body["code"]) == (401, "INVALID_CREDENTIALS")


@pytest.mark.parametrize("inactive", ["agents", "partners"])
def test_inactive_account_is_not_offered(db: Connection, anonymously: Anonymously, inactive: str) -> None:
    second_account(db)
    db.execute(f"update app.{inactive} set is_active = false where email = %s".encode(), [EMAIL])
    role = {"agents": "partner", "partners": "admin"}[inactive]
    assert anonymously("login", email=EMAIL, password=PASSWORD).body["role"] == role


@pytest.mark.parametrize("role", ["agent", "superadmin", "admin"])
def test_role_of_another_account_gets_the_answer_of_a_wrong_password(
    anonymously: Anonymously, role: str
) -> None:
    response = anonymously("login", email=EMAIL, password=PASSWORD, role=role)
    assert (response.status, response.body["code"]) == (401, "INVALID_CREDENTIALS")


@pytest.mark.parametrize("role", ["", "erp", "messenger", "hub_owner", "PARTNER", "subdist"])
def test_role_without_passwords_is_refused(db: Connection, anonymously: Anonymously, role: str) -> None:
    with refused(db, "INVALID_ARGUMENT"):
        anonymously("login", email=EMAIL, password=PASSWORD, role=role)
