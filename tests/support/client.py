"""What tests share: acting as a caller in SQL, and speaking to a gateway."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from postgrest import SyncPostgrestClient
from psycopg.pq import TransactionStatus

from adapters.common.tokens import mint

_SETTINGS = (
    "role",
    "search_path",
    "request.jwt.claims",
    "request.headers",
    "request.cookies",
    "request.method",
    "request.path",
)


@contextmanager
def caller(
    conn: psycopg.Connection[Any],
    role: str,
    sub: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    path: str = "/",
    guard: bool = True,
    **claims: Any,
) -> Iterator[psycopg.Connection[Any]]:
    """Be `role` with these claims, by the very settings that PostgREST makes, until the block ends.

    `guard` calls auth.request_guard() first, as PostgREST's db-pre-request does. Inside a transaction
    (fixture `db`) the block is a savepoint: what it raises is undone, and so is a failure that it caught.
    On a connection that is idle the block is a transaction of its own, which commits.
    """
    payload = {"role": role} | ({"sub": str(sub)} if sub is not None else {}) | claims
    wanted = {
        "search_path": '"api", "public"',
        "request.jwt.claims": json.dumps(payload),
        "request.headers": json.dumps({k.lower(): v for k, v in (headers or {}).items()}),
        "request.cookies": "{}",
        "request.method": method,
        "request.path": path,
        "role": role,
    }
    with conn.transaction():
        before = {name: _setting(conn, name) for name in _SETTINGS}
        for name, value in wanted.items():
            conn.execute("select set_config(%s, %s, true)", [name, value])
        if guard and conn.execute("select to_regproc('auth.request_guard')").fetchall()[0][0]:
            conn.execute("select auth.request_guard()")
        yield conn
        if conn.info.transaction_status == TransactionStatus.INERROR:
            raise psycopg.Rollback
        conn.execute("reset role")
        for name, value in before.items():
            conn.execute("select set_config(%s, %s, true)", [name, value])


def _setting(conn: psycopg.Connection[Any], name: str) -> str:
    return str(conn.execute("select coalesce(current_setting(%s, true), '')", [name]).fetchall()[0][0])


@dataclass(frozen=True)
class RunningGateway:
    """A gateway on a database of its own."""

    url: str
    database_url: str
    jwt_secret: str
    kind: str

    def token(self, role: str, sub: object = None, *, minutes: float = 10, **claims: Any) -> str:
        """A token as `login` would give it."""
        return mint(self.jwt_secret, role, None if sub is None else str(sub), minutes=minutes, **claims)

    def client(self, token: str | None = None) -> SyncPostgrestClient:
        """The `postgrest` library's client; without a token, anonymous."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return SyncPostgrestClient(self.url, schema="api", headers=headers)
