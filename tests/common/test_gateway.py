"""The gateway client: tokens, unexpected answers, and when the gateway counts as unreachable."""

import asyncio
import time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
import structlog
from postgrest import APIError

from adapters.common.gateway import GatewayClient, UnexpectedAnswerError, is_transient
from tests.common.conftest import GatewayServer, refusal
from tests.support.test_cluster import JWT_SECRET

SERVICE = UUID(int=5)
PAGE = "<html><body>Sign in to the network</body></html>"


def client(server: GatewayServer) -> GatewayClient:
    return GatewayClient(server.settings, role="messenger", service_id=SERVICE, timeout_seconds=5)


def call(server: GatewayServer, expect: type | None = None, times: int = 1) -> tuple[Any, str]:
    """Call the server with a new client; returns the last result or error, and the client's problem."""

    async def run() -> tuple[Any, str]:
        result: Any = None
        async with client(server) as gateway:
            for _ in range(times):
                try:
                    result = await gateway.call("work", {}, expect)
                except (APIError, httpx.HTTPError, UnexpectedAnswerError) as error:
                    result = error
            return result, gateway.problem()

    return asyncio.run(run())


def test_call_is_made_with_a_token_of_the_service(gateway_server: GatewayServer) -> None:
    assert call(gateway_server, list) == ([], "")
    token = gateway_server.headers[0]["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, JWT_SECRET, algorithms=["HS256"])
    assert (claims["role"], claims["sub"]) == ("messenger", str(SERVICE))


def test_token_is_replaced_at_half_of_its_life(
    gateway_server: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        now = time.monotonic()
        async with client(gateway_server) as gateway:
            for passed in (0, 299, 301):
                monkeypatch.setattr("adapters.common.gateway.mint", lambda *_, n=passed, **__: f"minted-{n}")
                monkeypatch.setattr(
                    "adapters.common.gateway.time", SimpleNamespace(monotonic=lambda at=now + passed: at)
                )
                await gateway.call("work", {})

    asyncio.run(run())
    tokens = [headers["authorization"] for headers in gateway_server.headers]
    assert tokens == ["Bearer minted-0", "Bearer minted-0", "Bearer minted-301"]


@pytest.mark.parametrize("expect", [None, list, dict, int])
def test_page_of_a_proxy_is_no_result(gateway_server: GatewayServer, expect: type | None) -> None:
    gateway_server.answers = [(200, PAGE)]
    result, problem = call(gateway_server, expect)
    assert isinstance(result, UnexpectedAnswerError)
    assert is_transient(result)
    assert "unexpected answer" in problem


def test_outage_is_a_problem_until_the_gateway_answers_again(gateway_server: GatewayServer) -> None:
    gateway_server.answers = [(503, PAGE), (204, "")]
    result, problem = call(gateway_server)
    assert (is_transient(result), bool(problem)) == (True, True)
    assert call(gateway_server, times=2) == ([], "")


def test_refused_call_is_no_problem_of_the_gateway(gateway_server: GatewayServer) -> None:
    gateway_server.answers = [(400, refusal("INVALID_ARGUMENT"))]
    result, problem = call(gateway_server)
    assert (result.code, is_transient(result), problem) == ("INVALID_ARGUMENT", False, "")


def test_silence_is_a_problem(gateway_server: GatewayServer) -> None:
    async def run() -> tuple[str, str]:
        async with client(gateway_server) as gateway:
            before = gateway.problem()
            await gateway.call("work", {})
            await asyncio.sleep(0.05)
            return before, gateway.problem(stale_seconds=0.01)

    before, after = asyncio.run(run())
    assert before == "it was not called yet"
    assert after.startswith("no answer for")


def test_id_of_the_current_request_is_passed_on(gateway_server: GatewayServer) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req-7"):
        call(gateway_server)
    call(gateway_server)
    assert [headers.get("x-request-id") for headers in gateway_server.headers] == ["req-7", None]


def test_amounts_stay_decimal_on_both_ways(gateway_server: GatewayServer) -> None:
    # As floats, 0.10 would lose its zero and the second amount its last digits.
    sent, received = '{"rows":[{"a":0.10,"b":12345678901234567.89,"c":3}]}', '{"a":0.10,"b":[1E+3,7]}'
    gateway_server.answers = [(200, received)]

    async def run() -> Any:
        row = {"a": Decimal("0.10"), "b": Decimal("12345678901234567.89"), "c": 3}
        async with client(gateway_server) as gateway:
            return await gateway.call("work", {"rows": [row]}, dict)

    result = asyncio.run(run())
    assert gateway_server.bodies == [sent.encode()]
    assert str(result) == "{'a': Decimal('0.10'), 'b': [Decimal('1E+3'), 7]}"
