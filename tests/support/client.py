"""Acting as a caller in SQL, and requests to a gateway."""

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
    "search_path",
    "request.jwt.claims",
    "request.headers",
    "request.cookies",
    "request.method",
    "request.path",
    "role",
)
_VALUES = ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in _SETTINGS)
_READ = f"select {_VALUES}, to_regproc('auth.request_guard')"
_WRITE = "select " + ", ".join(f"set_config('{name}', %s, true)" for name in _SETTINGS)


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
    """Act as `role` with these claims until the block ends, by the settings that PostgREST makes.

    `guard` calls auth.request_guard() first, as PostgREST's db-pre-request does. Inside a transaction
    (fixture `db`) the block is a savepoint, which is rolled back if the block raises or catches an error.
    On an idle connection the block is a transaction, which commits.
    """
    payload = {"role": role} | ({"sub": str(sub)} if sub is not None else {}) | claims
    settings = {
        "search_path": '"api", "public"',
        "request.jwt.claims": json.dumps(payload),
        "request.headers": json.dumps({k.lower(): v for k, v in (headers or {}).items()}),
        "request.cookies": "{}",
        "request.method": method,
        "request.path": path,
        "role": role,
    }
    # In one statement each, because round trips add up.
    with conn.transaction():
        before = conn.execute(_READ).fetchall()[0]
        conn.execute(_WRITE, [settings[name] for name in _SETTINGS])
        if guard and before[-1]:
            conn.execute("select auth.request_guard()")
        yield conn
        if conn.info.transaction_status == TransactionStatus.INERROR:
            raise psycopg.Rollback
        conn.execute("reset role")
        conn.execute(_WRITE, before[:-1])


@dataclass(frozen=True)
class RunningGateway:
    """A gateway and its database."""

    url: str
    database_url: str
    jwt_secret: str
    kind: str

    def token(self, role: str, sub: object = None, *, minutes: float = 10, **claims: Any) -> str:
        """A token like those that `login` returns."""
        return mint(self.jwt_secret, role, None if sub is None else str(sub), minutes=minutes, **claims)

    def client(self, token: str | None = None) -> SyncPostgrestClient:
        """A client of the `postgrest` library; anonymous without a token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return SyncPostgrestClient(self.url, schema="api", headers=headers)
