"""Accounts that can sign in, and calls without a token."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.calls import Response, call_rpc
from tests.support.context import Caller, Connection, Context, trust_proxies, value
from tests.support.rls_dataset import PASSWORD

Anonymously = Callable[..., Response]


@pytest.fixture
def passwords(db: Connection, context: Context) -> None:
    """Give every partner and agent the same password."""
    password_hash = value(db, "select extensions.crypt(%s, extensions.gen_salt('bf', 4))", PASSWORD)
    for table in ("partners", "agents"):
        db.execute(f"update app.{table} set password_hash = %s".encode(), [password_hash])
    trust_proxies(db)


@pytest.fixture
def anonymously(db: Connection) -> Anonymously:
    """Call the API without a token, as `anonymously("login", headers, email=..., password=...)`."""

    def call(function: str, headers: dict[str, str] | None = None, **arguments: Any) -> Response:
        return call_rpc(db, Caller("anon"), function, headers, **arguments)

    return call
