"""hub superadmin: the first account of a migrated database."""

import psycopg
import pytest
from typer.testing import CliRunner

from hub.cli import app
from tests.conftest import Clone
from tests.support.context import Caller, call, value

EMAIL = "dewi@alfabeauty.example"
PASSWORD = "rahasia-dewi-1"


def create(url: str, password: str = PASSWORD, email: str = EMAIL) -> tuple[int, str]:
    """Run the command; returns its exit code and its output."""
    arguments = ["superadmin", email, "--name", "Dewi Lestari", "--phone", "0811-1000-001", "--database", url]
    result = CliRunner().invoke(app, arguments, input=password + "\n")
    return result.exit_code, result.output


def test_superadmin_of_an_empty_database_can_sign_in(clone: Clone) -> None:
    url = clone()
    code, output = create(url)
    assert (code, output) == (0, f"{EMAIL} can sign in as superadmin\n")
    with psycopg.connect(url, autocommit=True) as conn:
        session = call(conn, Caller("anon"), "login", email=EMAIL, password=PASSWORD)
        assert session["role"] == "superadmin"
        assert value(conn, "select phone from app.agents") == "+628111000001"


@pytest.mark.parametrize(
    ("password", "email", "reason"),
    [
        ("kurang", EMAIL, "password"),
        ("", EMAIL, "password"),
        (PASSWORD, "not an address", "email"),
    ],
)
def test_superadmin_with_an_invalid_value_is_refused(
    clone: Clone, password: str, email: str, reason: str
) -> None:
    url = clone()
    code, output = create(url, password, email)
    assert code == 1
    assert reason in output.lower()
    with psycopg.connect(url) as conn:
        assert value(conn, "select count(*) from app.agents") == 0


def test_superadmin_is_not_created_twice(clone: Clone) -> None:
    url = clone()
    create(url)
    code, output = create(url, email=EMAIL.upper())
    assert code == 1
    assert "exists" in output
