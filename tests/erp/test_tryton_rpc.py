"""The client of Tryton's JSON-RPC, against a mock transport."""

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from adapters.erp.port import (
    BusyError,
    ErpError,
    LoginRefusedError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
)
from adapters.erp.tryton_products import changed_since, read_from
from adapters.erp.tryton_rpc import Client, WarnedError
from tests.support import proxy as proxies
from tests.support.proxy import Fault

Answer = Callable[[dict[str, Any]], httpx.Response]


class FakeTryton:
    """A transport that answers the login like Tryton and all other calls by `answer`."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.requests.append(body)
        self.headers.append(request.headers)
        if body["method"] == "common.db.login":
            return result(body, [7, "token", None])
        if body["method"] == "model.res.user.get_preferences":
            return result(body, {"company": 1, "language": "id", "locale": {}})
        return self._answer(body)

    def methods(self) -> list[str]:
        return [body["method"] for body in self.requests]

    def call(self, method: str = "model.x.read", *params: Any, times: int = 1) -> Any:
        """Call a method `times` times; all but the last must fail. Returns the last result."""

        async def run() -> Any:
            client = Client("http://tryton", "alfa", "hub", "secret", 5, httpx.MockTransport(self))
            try:
                for _ in range(times - 1):
                    with pytest.raises(ErpError):
                        await client.call(method, *params)
                return await client.call(method, *params)
            finally:
                await client.aclose()

        return asyncio.run(run())


def result(body: dict[str, Any], value: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": body["id"], "result": value})


def error(*args: Any) -> Answer:
    return lambda body: httpx.Response(200, json={"id": body["id"], "error": args})


def test_context_of_the_first_call_contains_the_company() -> None:
    """Without a company Tryton answers prices as None."""
    tryton = FakeTryton(lambda body: result(body, []))
    tryton.call("model.x.search", [["id", ">", 0]])
    assert tryton.requests[-1]["params"] == [[["id", ">", 0]], {"company": 1, "language": "id"}]
    assert tryton.headers[-1]["Authorization"].startswith("Session ")
    assert tryton.headers[-1]["Accept-Encoding"] == "gzip"


def test_numbers_and_dates_of_answers_are_decoded() -> None:
    value = {
        "price": {"__class__": "Decimal", "decimal": "53500.0000"},
        "at": {
            "__class__": "datetime",
            **{"year": 2026, "month": 11, "day": 23, "hour": 4, "minute": 5, "second": 6, "microsecond": 7},
        },
        "quantity": 0.1,
    }
    found = FakeTryton(lambda body: result(body, value)).call()
    assert found["price"] == Decimal("53500")
    assert found["at"] == datetime(2026, 11, 23, 4, 5, 6, 7, UTC)
    assert found["quantity"] == Decimal("0.1")


def test_numbers_and_dates_of_calls_are_encoded() -> None:
    tryton = FakeTryton(lambda body: result(body, 1))
    tryton.call("model.x.create", [{"price": Decimal("1.50"), "at": datetime(2026, 1, 2, 10, tzinfo=UTC)}])
    [values] = tryton.requests[-1]["params"][0]
    assert values["price"] == {"__class__": "Decimal", "decimal": "1.50"}
    assert (values["at"]["__class__"], values["at"]["hour"]) == ("datetime", 10)


def test_compressed_answer_is_decoded() -> None:
    def answer(body: dict[str, Any]) -> httpx.Response:
        text = json.dumps({"id": body["id"], "result": ["x" * 2000]}).encode()
        return httpx.Response(200, content=gzip.compress(text), headers={"Content-Encoding": "gzip"})

    assert FakeTryton(answer).call() == ["x" * 2000]


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: httpx.Response(500, text="Internal Server Error"),
        lambda body: httpx.Response(504),
        lambda body: httpx.Response(200, text="<html>maintenance"),
        lambda body: httpx.Response(200, content=b"\x1f\x8bnot", headers={"Content-Encoding": "gzip"}),
        lambda body: httpx.Response(200, json={"id": 4711, "result": []}),
        lambda body: httpx.Response(200, json={"id": body["id"]}),
        lambda body: httpx.Response(200, json=[]),
        lambda body: httpx.Response(200, json={"id": body["id"], "result": {"__class__": "Decimal"}}),
        lambda body: httpx.Response(200, json={"id": body["id"], "error": []}),
        lambda body: httpx.Response(200, json={"id": body["id"], "error": None}),
        error("connection already closed", "Traceback ..."),
    ],
)
def test_invalid_answer_leaves_the_outcome_unknown(answer: Answer) -> None:
    with pytest.raises(UnknownOutcomeError):
        FakeTryton(answer).call()


@pytest.mark.parametrize("fault", proxies.STALLS)
def test_proxy_that_stops_forwarding_leaves_the_outcome_unknown_in_time(fault: Fault) -> None:
    """Nothing was logged in, so each call tries again: the fault does not outlive itself."""

    async def run(url: str) -> None:
        client = Client(url, "alfa", "hub", "secret", 0.3)
        try:
            for _ in range(2):
                async with asyncio.timeout(5):
                    with pytest.raises(UnknownOutcomeError):
                        await client.call("model.x.read", [1])
        finally:
            await client.aclose()

    with proxies.running(fault=fault) as proxy:
        asyncio.run(run(proxy.url))
        assert proxy.injected == 2


def raising(failure: type[httpx.TransportError]) -> Answer:
    def answer(body: dict[str, Any]) -> httpx.Response:
        raise failure("gone")

    return answer


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError]
)
def test_cut_connection_leaves_the_outcome_unknown(failure: type[httpx.TransportError]) -> None:
    with pytest.raises(UnknownOutcomeError):
        FakeTryton(raising(failure)).call()


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout])
def test_refused_connection_means_that_nothing_was_done(failure: type[httpx.TransportError]) -> None:
    with pytest.raises(UnreachableError):
        FakeTryton(raising(failure)).call()


def test_user_error_is_a_refusal_with_the_text_of_tryton() -> None:
    with pytest.raises(RefusedError, match=r"You cannot do that\. Really not\."):
        FakeTryton(error("UserError", ["You cannot do that.", "Really not.", None])).call()


def test_concurrent_change_is_busy() -> None:
    with pytest.raises(BusyError):
        FakeTryton(error("ConcurrencyException", ["changed"])).call()


def test_warning_has_the_name_that_confirms_it() -> None:
    with pytest.raises(WarnedError) as warned:
        FakeTryton(error("UserWarning", ["name-1", "Sure?", ""])).call()
    assert warned.value.name == "name-1"


def test_expired_session_is_renewed_once() -> None:
    answers = iter([401, 200, 401, 401])

    def answer(body: dict[str, Any]) -> httpx.Response:
        return result(body, "done") if next(answers) == 200 else httpx.Response(401)

    tryton = FakeTryton(answer)
    assert tryton.call() == "done"
    assert tryton.methods().count("common.db.login") == 2
    with pytest.raises(RefusedError, match="refuses a new session"):
        tryton.call()


def test_login_is_not_retried_after_a_refusal_or_a_lock() -> None:
    class RefusingTryton(FakeTryton):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.requests.append(json.loads(request.content))
            return self._answer({})

    wrong = RefusingTryton(lambda body: httpx.Response(401))
    with pytest.raises(LoginRefusedError):
        wrong.call(times=5)
    assert wrong.methods() == ["common.db.login"]
    locked = RefusingTryton(lambda body: httpx.Response(429))
    with pytest.raises(BusyError) as busy:
        locked.call(times=5)
    assert locked.methods() == ["common.db.login"]
    assert busy.value.seconds > 60


def test_changes_are_read_from_the_overlap_before_the_cursor_inclusively() -> None:
    moment = read_from({"after": "2026-11-23T04:00:00+00:00"}, timedelta(minutes=60))
    assert moment == datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert changed_since(moment) == [["OR", ["create_date", ">=", moment], ["write_date", ">=", moment]]]
    assert read_from(None, timedelta(0)) is None
    assert changed_since(None) == []
