"""Logs: JSON, ids of requests, no personal data and no bodies."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from litestar import Request, get, post
from litestar.exceptions import PermissionDeniedException
from litestar.testing import TestClient

from adapters.common import logs
from adapters.common.app import create_app
from adapters.common.health import Health


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the adapters' loggers write, until the test ends."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel("INFO")
    logging.getLogger("httpx").setLevel("WARNING")  # the tests' own client logs here, too
    logs.litestar_config().configure()
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "secret",
    [
        "salon@hub.test",
        "+6281234567890",
        "+62 812-3456-7890",
        "081234567890",
        "0812-3456-7890",
        "6281234567890",
        "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYWRtaW4ifQ.c2lnbmF0dXJl",
        "EAAGm0PX4ZCpsBAKZCqqwXJ9wZDZD",
        "hub:s3cret@",
    ],
)
def test_personal_data_and_secrets_are_masked(written: io.StringIO, secret: str) -> None:
    text = f"postgresql://{secret}db/hub failed" if secret.endswith("@") else f"no route to {secret}, sorry"
    logging.getLogger("adapters.test").warning("%s", text)
    structlog.get_logger("adapters.test").warning("refused", detail=[{"reason": text}])
    logging.getLogger("adapters.test").error("it failed", exc_info=ValueError(text))
    assert len(lines(written)) == 3
    assert secret.removesuffix("@") not in written.getvalue()


@pytest.mark.parametrize("key", ["phone", "e_mail", "jwt_secret", "recipient", "payload", "Authorization"])
def test_value_of_a_telling_name_is_masked(written: io.StringIO, key: str) -> None:
    structlog.get_logger("adapters.test").info("known", **{key: "Salon Melati"})
    [line] = lines(written)
    assert line[key] == "[masked]"


@pytest.mark.parametrize(
    "text",
    [
        "0190aa00-0000-7000-8000-00000000000e",
        "ORD-261123-000001",
        "127.0.0.1:18150",
        "2026-11-27T10:20:30+07:00",
        "Rp309.200",
        "wamid.HBgNNjI4MTIzNDU2Nzg5MBUCABEYEjQ",
    ],
)
def test_ids_times_and_amounts_are_kept(text: str) -> None:
    assert logs.mask(f"see {text} now") == f"see {text} now"


@get("/shown")
async def shown(request: Request[Any, Any, Any]) -> dict[str, str]:
    logging.getLogger("adapters.test").info("inside")
    return {"answer": "the secret answer"}


@post("/stored")
async def stored(request: Request[Any, Any, Any]) -> dict[str, int]:
    return {"size": len(await request.body())}


@get("/refused")
async def refused() -> None:
    raise PermissionDeniedException("not you")


@get("/broken")
async def broken() -> None:
    raise ZeroDivisionError("inner detail")


@pytest.fixture
def client() -> Iterator[Any]:
    app = create_app("test", health=Health(), handlers=[shown, stored, refused, broken])
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_lines_of_a_request_share_its_id_and_hold_no_query_and_no_body(
    written: io.StringIO, client: Any
) -> None:
    answer = client.get("/shown?verify=open-sesame", headers={"X-Request-Id": "req-1"})
    client.post("/stored", content=b"the private text", headers={"X-Request-Id": "req-2"})
    assert answer.headers["x-request-id"] == "req-1"
    found = lines(written)
    mine = [line for line in found if line.get("request_id") == "req-1"]
    assert [line["event"] for line in mine] == ["request", "inside", "answer"]
    assert (mine[0]["method"], mine[0]["path"], mine[2]["status_code"]) == ("GET", "/shown", 200)
    context = {"event", "request_id", "logger", "level", "timestamp"}
    assert (set(mine[0]) - context, set(mine[2]) - context) == ({"method", "path"}, {"status_code"})
    for hidden in ("open-sesame", "the secret answer", "the private text"):
        assert hidden not in written.getvalue()


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, 'x"y'])
def test_request_without_a_usable_id_gets_one(client: Any, given: str | None) -> None:
    answer = client.get("/shown", headers={} if given is None else {"X-Request-Id": given})
    assert len(answer.headers["x-request-id"]) == 32


def test_errors_are_json_and_reveal_nothing(written: io.StringIO, client: Any) -> None:
    answer = client.get("/refused")
    assert (answer.status_code, answer.json()) == (
        403,
        {"code": "PERMISSION_DENIED", "message": "not you"},
    )
    answer = client.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "inner detail" not in answer.text
    assert "inner detail" in written.getvalue(), "the log has it"


def test_metrics_count_requests_by_route(client: Any) -> None:
    client.get("/shown")
    text = client.get("/metrics").text
    assert 'hub_adapter_requests_total{app_name="test",method="GET",path="/shown",status_code="200"}' in text
    assert 'path="/metrics"' not in text
