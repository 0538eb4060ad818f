"""The webhook: who may bring what, and how it is answered."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from postgrest import APIError

from adapters.whatsapp.settings import Settings
from adapters.whatsapp.signature import is_genuine
from adapters.whatsapp.webhook import LARGEST, Processor, parse, router
from tests.support.test_cluster import JWT_SECRET
from tests.whatsapp.fake_meta import APP_SECRET, VERIFY_TOKEN, signed


class Inbox:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stored: list[dict[str, Any]] = []
        self.worked = 0
        self.error: Exception | None = None

    async def inbound(self, payload: dict[str, Any]) -> None:
        if self.error:
            raise self.error
        self.stored.append(payload)

    async def process_inbox(self, most: int) -> int:
        self.worked += 1
        if self.worked == 1:
            raise httpx.ConnectError("away")
        return most if self.worked == 2 else 0


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def client(inbox: Inbox) -> TestClient[Litestar]:
    told = Settings(
        jwt_secret=JWT_SECRET,
        whatsapp_token="t",
        whatsapp_phone_number_id="1",
        whatsapp_app_secret=APP_SECRET,
        whatsapp_verify_token=VERIFY_TOKEN,
    )
    processor = Processor(inbox)
    return TestClient(Litestar([router(told, lambda: inbox, lambda: processor)], openapi_config=None))


BODY = json.dumps({"object": "whatsapp_business_account", "entry": []}, indent=3).encode()


def test_the_handshake_echoes_the_challenge_to_who_knows_the_token(client: TestClient[Litestar]) -> None:
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY_TOKEN}
    answer = client.get("/webhook", params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    for wrong in ({"hub.verify_token": "x"}, {"hub.mode": "x"}, {"hub.verify_token": "é"}):
        assert client.get("/webhook", params=asked | wrong).status_code == 403
    assert client.get("/webhook").status_code == 403


def test_what_is_signed_is_stored_and_answered(client: TestClient[Litestar], inbox: Inbox) -> None:
    answer = client.post("/webhook", content=BODY, headers=signed(BODY))
    assert (answer.status_code, answer.text) == (200, "")
    assert inbox.stored == [json.loads(BODY)]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        signed(BODY, "another")["X-Hub-Signature-256"],
        signed(BODY)["X-Hub-Signature-256"].removeprefix("sha256="),
        signed(BODY)["X-Hub-Signature-256"].replace("sha256", "sha1"),
        signed(json.dumps(json.loads(BODY)).encode())["X-Hub-Signature-256"],
    ],
    ids=["none", "empty", "bare", "zeros", "other-secret", "no-prefix", "sha1", "re-serialised"],
)
def test_what_is_not_signed_is_refused(
    client: TestClient[Litestar], inbox: Inbox, header: str | None
) -> None:
    headers = {} if header is None else {"X-Hub-Signature-256": header}
    assert client.post("/webhook", content=BODY, headers=headers).status_code == 401
    assert inbox.stored == []


def test_without_a_secret_nothing_is_genuine() -> None:
    assert not is_genuine("", BODY, signed(BODY, "")["X-Hub-Signature-256"])
    assert not is_genuine(APP_SECRET, BODY, "sha256=é")


def test_what_is_too_large_is_refused(client: TestClient[Litestar], inbox: Inbox) -> None:
    body = b'{"x": "' + b"y" * LARGEST + b'"}'
    assert client.post("/webhook", content=body, headers=signed(body)).status_code == 413
    assert inbox.stored == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_object_is_answered_400(client: TestClient[Litestar], inbox: Inbox, body: bytes) -> None:
    assert client.post("/webhook", content=body, headers=signed(body)).status_code == 400
    assert inbox.stored == []


def test_what_jsonb_cannot_hold_is_made_to_fit() -> None:
    payload = parse(b'{"a\\u0000": ["\\ud800x", 1e999, -1e999, null, true, 1.5]}')
    assert payload == {"a\ufffd": ["?x", "inf", "-inf", None, True, 1.5]}


def test_while_the_gateway_is_away_meta_is_asked_to_come_again(
    client: TestClient[Litestar], inbox: Inbox
) -> None:
    inbox.error = httpx.ConnectError("away")
    assert client.post("/webhook", content=BODY, headers=signed(BODY)).status_code == 503
    inbox.error = APIError({"code": "INVALID_ARGUMENT", "message": "", "details": "", "hint": ""})
    assert client.post("/webhook", content=BODY, headers=signed(BODY)).status_code == 400


def test_the_inbox_is_worked_on_until_it_is_empty_whatever_fails(inbox: Inbox) -> None:
    async def run() -> None:
        processor = Processor(inbox, idle_seconds=0.01)
        task = asyncio.create_task(processor.run())
        async with asyncio.timeout(5):
            while inbox.worked < 4:
                processor.wake()
                await asyncio.sleep(0)
            processor.stop()
            await task

    asyncio.run(run())
