"""Calls of the API whose status, headers or refusal a test checks."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.support.client import caller
from tests.support.context import Caller, Connection, RefusedError, value


@contextmanager
def refused(conn: Connection, code: str) -> Iterator[RefusedError]:
    """Expect a refusal with this code, by a call or by SQL, and the HTTP status of app.error_catalog().

    Yields the refusal, whose details and hint are filled in when the block ends.
    """
    status = value(conn, "select http_status from app.error_catalog() where code = %s", code)
    refusal = RefusedError(code)
    with pytest.raises((RefusedError, psycopg.Error)) as caught, conn.transaction():
        yield refusal
    error = caught.value
    if isinstance(error, psycopg.Error):
        assert error.sqlstate == "PGRST", error
        error = RefusedError.of(error)
    assert isinstance(error, RefusedError)
    assert (error.code, error.status) == (code, status), error
    refusal.details = error.details
    refusal.hint = error.hint


@dataclass(frozen=True)
class Response:
    """What a call returns, and the status and headers that it sets for the gateway."""

    body: Any
    status: int
    headers: Mapping[str, str]


def call_rpc(
    conn: Connection, who: Caller, function: str, headers: Mapping[str, str] | None = None, **arguments: Any
) -> Response:
    """Call `api.<function>` as the gateway does, with request headers; the function may return void."""
    named = sql.SQL(", ").join(sql.SQL("{} => %s").format(sql.Identifier(name)) for name in arguments)
    query = sql.SQL("select api.{}({})").format(sql.Identifier(function), named)
    values = [Jsonb(v) if isinstance(v, list | dict) else v for v in arguments.values()]
    with caller(conn, who.role, who.sub, headers=headers, path=f"/rpc/{function}", **who.extra):
        conn.execute(
            "select set_config(n, '', true) from unnest(array['response.status', 'response.headers']) n"
        )
        row = conn.execute(query, values).fetchone()
        status = value(conn, "select current_setting('response.status')") or "200"
        header_list = json.loads(value(conn, "select current_setting('response.headers')") or "[]")
    merged = {name: text for header in header_list for name, text in header.items()}
    return Response(row[0] if row else None, int(status), merged)


def write(conn: Connection, who: Caller, statement: str, *values: Any) -> int:
    """Write through a view as the gateway does; returns the number of rows. Raises RefusedError."""
    try:
        with caller(conn, who.role, who.sub, method="GET", **who.extra):
            return conn.execute(statement.encode(), values or None).rowcount
    except psycopg.Error as error:
        if error.sqlstate != "PGRST":
            raise
        raise RefusedError.of(error) from None
