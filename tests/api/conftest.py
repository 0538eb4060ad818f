"""A running gateway on a database with the RLS dataset, and an HTTP client for its API."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.client import RunningGateway
from tests.support.context import Caller, Connection
from tests.support.rls_dataset import RlsDataset, make_rls_dataset


class ApiClient:
    """The API as a frontend uses it; `dataset` holds the callers."""

    def __init__(self, gateway: RunningGateway, dataset: RlsDataset, http: httpx.Client) -> None:
        self.gateway = gateway
        self.dataset = dataset
        self.http = http

    def token(self, who: Caller) -> str:
        return self.gateway.token(who.role, who.sub, **who.extra)

    def headers(self, who: Caller | str | None, **more: str) -> dict[str, str]:
        """Request headers for a caller, for a token, or anonymous."""
        if who is None or (isinstance(who, Caller) and who.role == "anon"):
            return more
        token = self.token(who) if isinstance(who, Caller) else who
        return {"Authorization": f"Bearer {token}"} | more

    def client(self, who: Caller | str | None = None) -> Any:
        """The `postgrest` client, signed in; typed Any because its JSON type cannot be indexed."""
        return self.gateway.client(self.token(who) if isinstance(who, Caller) else who)

    def get(self, who: Caller | str | None, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=self.headers(who, **headers))

    def rpc(self, who: Caller | str | None, name: str, body: Any = None, **headers: str) -> httpx.Response:
        """Call an RPC with a JSON body."""
        return self.http.post(f"/rpc/{name}", json=body or {}, headers=self.headers(who, **headers))

    def submit(self, who: Caller | str, sku: str = "SKU-001", quantity: int = 1) -> dict[str, Any]:
        body = {"items": [{"sku": sku, "quantity": quantity}], "idempotency_key": str(uuid.uuid4())}
        answer = self.rpc(who, "submit_order", body)
        assert answer.status_code == 200, answer.text
        order: dict[str, Any] = answer.json()
        return order


@pytest.fixture(scope="module")
def api(gateway: RunningGateway) -> Iterator[ApiClient]:
    with psycopg.connect(gateway.database_url, autocommit=True) as conn:
        dataset = make_rls_dataset(conn)
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as http:
        yield ApiClient(gateway, dataset, http)


@pytest.fixture
def conn(api: ApiClient) -> Iterator[Connection]:
    """A superuser's connection to the gateway's database."""
    with psycopg.connect(api.gateway.database_url, autocommit=True) as connection:
        yield connection


def assert_error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error response, after checking its form."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert set(body) == {"code", "message", "details", "hint"}
    assert body["message"]
    return body
