"""What the client makes of Tryton's answers, one by one: no server is needed to see it."""

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
from adapters.erp.tryton_products import changed, since
from adapters.erp.tryton_rpc import Client, WarnedError

Answer = Callable[[dict[str, Any]], httpx.Response]


class Tryton:
    """Answers by the book, but for what a test wants otherwise."""

    def __init__(self, answer: Answer) -> None:
        self.seen: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.seen.append(body)
        self.headers.append(request.headers)
        if body["method"] == "common.db.login":
            return result(body, [7, "token", None])
        if body["method"] == "model.res.user.get_preferences":
            return result(body, {"company": 1, "language": "id", "locale": {}})
        return self._answer(body)

    def methods(self) -> list[str]:
        return [body["method"] for body in self.seen]

    def call(self, method: str = "model.x.read", *params: Any, times: int = 1) -> Any:
        """The last of some calls by one client."""

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


def test_the_company_is_in_the_context_of_the_very_first_call() -> None:
    """Without it Tryton's prices are None."""
    tryton = Tryton(lambda body: result(body, []))
    tryton.call("model.x.search", [["id", ">", 0]])
    assert tryton.seen[-1]["params"] == [[["id", ">", 0]], {"company": 1, "language": "id"}]
    assert tryton.headers[-1]["Authorization"].startswith("Session ")
    assert tryton.headers[-1]["Accept-Encoding"] == "gzip"


def test_numbers_and_dates_come_as_what_they_are() -> None:
    value = {
        "price": {"__class__": "Decimal", "decimal": "53500.0000"},
        "at": {
            "__class__": "datetime",
            **{"year": 2026, "month": 11, "day": 23, "hour": 4, "minute": 5, "second": 6, "microsecond": 7},
        },
        "quantity": 0.1,
    }
    found = Tryton(lambda body: result(body, value)).call()
    assert found["price"] == Decimal("53500")
    assert found["at"] == datetime(2026, 11, 23, 4, 5, 6, 7, UTC)
    assert found["quantity"] == Decimal("0.1")


def test_numbers_and_dates_go_as_tryton_takes_them() -> None:
    tryton = Tryton(lambda body: result(body, 1))
    tryton.call("model.x.create", [{"price": Decimal("1.50"), "at": datetime(2026, 1, 2, 10, tzinfo=UTC)}])
    [values] = tryton.seen[-1]["params"][0]
    assert values["price"] == {"__class__": "Decimal", "decimal": "1.50"}
    assert (values["at"]["__class__"], values["at"]["hour"]) == ("datetime", 10)


def test_a_long_answer_comes_zipped() -> None:
    def answer(body: dict[str, Any]) -> httpx.Response:
        text = json.dumps({"id": body["id"], "result": ["x" * 2000]}).encode()
        return httpx.Response(200, content=gzip.compress(text), headers={"Content-Encoding": "gzip"})

    assert Tryton(answer).call() == ["x" * 2000]


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
def test_what_is_no_answer_leaves_the_outcome_unknown(answer: Answer) -> None:
    with pytest.raises(UnknownOutcomeError):
        Tryton(answer).call()


def test_a_cut_line_leaves_it_unknown_and_a_refused_connection_does_not() -> None:
    def raising(failure: type[httpx.TransportError]) -> Answer:
        def answer(body: dict[str, Any]) -> httpx.Response:
            raise failure("gone")

        return answer

    for failure in (httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
        with pytest.raises(UnknownOutcomeError):
            Tryton(raising(failure)).call()
    for refused in (httpx.ConnectError, httpx.ConnectTimeout):
        with pytest.raises(UnreachableError):
            Tryton(raising(refused)).call()


def test_refusals_come_in_trytons_words() -> None:
    with pytest.raises(RefusedError, match=r"You cannot do that\. Really not\."):
        Tryton(error("UserError", ["You cannot do that.", "Really not.", None])).call()
    with pytest.raises(BusyError):
        Tryton(error("ConcurrencyException", ["changed"])).call()
    with pytest.raises(WarnedError) as warned:
        Tryton(error("UserWarning", ["name-1", "Sure?", ""])).call()
    assert warned.value.name == "name-1"


def test_an_expired_session_is_renewed_once() -> None:
    answers = iter([401, 200, 401, 401])

    def answer(body: dict[str, Any]) -> httpx.Response:
        return result(body, "done") if next(answers) == 200 else httpx.Response(401)

    tryton = Tryton(answer)
    assert tryton.call() == "done"
    assert tryton.methods().count("common.db.login") == 2
    with pytest.raises(RefusedError, match="fresh session"):
        tryton.call()


def test_a_wrong_password_is_sent_once_and_a_locked_login_is_left_alone() -> None:
    class Closed(Tryton):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.seen.append(json.loads(request.content))
            return self._answer({})

    wrong = Closed(lambda body: httpx.Response(401))
    with pytest.raises(LoginRefusedError):
        wrong.call(times=5)
    assert wrong.methods() == ["common.db.login"]
    locked = Closed(lambda body: httpx.Response(429))
    with pytest.raises(BusyError) as busy:
        locked.call(times=5)
    assert locked.methods() == ["common.db.login"]
    assert busy.value.seconds > 60


def test_changes_are_read_again_from_before_the_cursor_and_at_its_very_moment() -> None:
    moment = since({"after": "2026-11-23T04:00:00+00:00"}, timedelta(minutes=60))
    assert moment == datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert changed(moment) == [["OR", ["create_date", ">=", moment], ["write_date", ">=", moment]]]
    assert since(None, timedelta(0)) is None
    assert changed(None) == []
