"""The shared fixtures."""

import uuid
from typing import Any

import httpx
import psycopg
import pytest
from postgrest import APIError
from psycopg.pq import TransactionStatus

from tests.conftest import Clone
from tests.support.client import RunningGateway, caller


def test_caller_acts_as_postgrest_does_and_restores_the_role(db: psycopg.Connection[Any]) -> None:
    before = db.execute("select current_user, current_setting('search_path')").fetchone()
    with caller(db, "partner", "0190-x", headers={"X-Forwarded-For": "10.0.0.1"}, guard=False, sid="s"):
        seen = db.execute(
            "select current_user, current_setting('request.jwt.claims')::json ->> 'sub',"
            " current_setting('request.jwt.claims')::json ->> 'sid',"
            " current_setting('request.headers')::json ->> 'x-forwarded-for'"
        ).fetchone()
        assert seen == ("partner", "0190-x", "s", "10.0.0.1")
    assert db.execute("select current_user, current_setting('search_path')").fetchone() == before


def test_caller_keeps_the_transaction_usable_after_an_error(db: psycopg.Connection[Any]) -> None:
    with caller(db, "anon", guard=False), pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("select * from app.partners")
    assert db.info.transaction_status == TransactionStatus.INTRANS
    assert db.execute("select current_user").fetchone() == ("postgres",)


def test_clones_are_independent(clone: Clone) -> None:
    first, second = clone(), clone()
    with psycopg.connect(first) as conn:
        conn.execute("create table public.only_here ()")
    with psycopg.connect(second) as conn:
        assert conn.execute("select to_regclass('public.only_here')").fetchone() == (None,)
        assert conn.execute("select to_regclass('app.partners')").fetchone() == ("app.partners",)


def test_gateway_fixture_serves_its_own_database(gateway: RunningGateway) -> None:
    with psycopg.connect(gateway.database_url) as conn:
        assert conn.execute("select to_regclass('app.partners')").fetchone() == ("app.partners",)
    answer = httpx.get(gateway.url, trust_env=False)
    assert answer.status_code == 200
    assert "/rpc/login" in answer.json()["paths"]
    with pytest.raises(APIError) as refused:
        gateway.client(gateway.token("partner", uuid.uuid4())).from_("orders").select("*").execute()
    assert refused.value.code
