"""Limits of time and size, by role."""

import re

import pytest

from hub import paths
from hub.stack.gateway import GatewayConfig
from tests.rls import matrix
from tests.support.context import Connection

LIMITS = {
    "authenticator": 15, "anon": 10, "partner": 10, "subdist": 10, "agent": 10, "monitor": 10, "cache": 5,
    "admin": 15, "superadmin": 15, "erp": 15, "messenger": 15,
}  # fmt: skip
"""Seconds of a statement."""


def settings_of(conn: Connection, role: str) -> dict[str, str]:
    rows = conn.execute(
        "select unnest(setconfig) from pg_db_role_setting where setrole = to_regrole(%s) and setdatabase = 0",
        [role],
    )
    return dict(text.split("=", 1) for (text,) in rows)


@pytest.mark.parametrize("role", LIMITS)
def test_every_role_of_a_caller_has_limits(db: Connection, role: str) -> None:
    found = settings_of(db, role)
    assert found["statement_timeout"] == f"{LIMITS[role]}s"
    assert found["lock_timeout"] == "5s"
    assert found["idle_in_transaction_session_timeout"] == "30s"


def test_every_role_of_the_matrix_has_a_limit() -> None:
    assert set(matrix.ROLES) <= set(LIMITS)


def test_only_calls_about_all_data_of_a_person_have_a_longer_limit(db: Connection) -> None:
    rows = db.execute(
        "select oid::regproc::text from pg_proc where array_to_string(proconfig, ',') ~ 'statement_timeout'"
        " and pronamespace::regnamespace::text in ('api', 'app', 'auth', 'jobs') order by 1"
    ).fetchall()
    assert [name for (name,) in rows] == [
        "api.erase_partner",
        "api.export_agent",
        "api.export_partner",
        "api.export_subdist",
    ]


def test_answers_have_a_limit_of_rows() -> None:
    found = re.search(r"^db-max-rows = (\d+)$", GatewayConfig("", "", 1, 2).text(), re.MULTILINE)
    assert found
    assert 1000 <= int(found[1]) <= 100_000
    page = (paths.root() / "docs" / "security.md").read_text()
    assert f"| {int(found[1]):,};" in page
