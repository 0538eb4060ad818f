"""The webhook: signatures, limits and answers."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient, TestClient
from postgrest import APIError

from adapters.common.gateway import UnexpectedAnswerError
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.signature import is_genuine
from adapters.whatsapp.webhook import MAX_BODY_BYTES, InboxProcessor, InboxStore, parse, router
from tests.support.test_cluster import JWT_SECRET
from tests.whatsapp.fake_meta import APP_SECRET, VERIFY_TOKEN, signed


class FakeInbox:
    """Keeps stored webhooks; the first call of process_inbox fails, the second finds a full batch."""

    def __init__(self) -> None:
        self.stored: list[dict[str, Any]] = []
        self.store_calls = 0
        self.process_calls = 0
        self.error: Exception | None = None
        self.refused: dict[str, Any] | None = None
        """The only payload that `error` concerns."""

    async def store_inbound(self, payloads: list[dict[str, Any]]) -> None:
        self.store_calls += 1
        await asyncio.sleep(0)
        if self.error and (self.refused is None or self.refused in payloads):
            raise self.error
        self.stored += payloads

    async def process_inbox(self, limit: int) -> int:
        self.process_calls += 1
        if self.process_calls == 1:
            raise httpx.ConnectError("away")
        return limit if self.process_calls == 2 else 0


@pytest.fixture
def inbox() -> FakeInbox:
    return FakeInbox()


@pytest.fixture
def client(inbox: FakeInbox) -> TestClient[Litestar]:
    settings = Settings.model_validate(
        {
            "jwt_secret": JWT_SECRET,
            "whatsapp_token": "t",
            "whatsapp_phone_number_id": "1",
            "whatsapp_app_secret": APP_SECRET,
            "whatsapp_verify_token": VERIFY_TOKEN,
        }
    )
    processor = InboxProcessor(inbox)
    store = InboxStore(inbox)
    app = Litestar([router(settings, lambda: store, lambda: processor)], openapi_config=None)
    app.state.settings = settings
    return TestClient(app)


BODY = json.dumps({"object": "whatsapp_business_account", "entry": []}, indent=3).encode()


def test_handshake_returns_the_challenge_only_for_the_verify_token(client: TestClient[Litestar]) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY_TOKEN}
    answer = client.get("/webhook", params=query)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    for wrong in ({"hub.verify_token": "x"}, {"hub.mode": "x"}, {"hub.verify_token": "é"}):
        assert client.get("/webhook", params=query | wrong).status_code == 403
    assert client.get("/webhook").status_code == 403


def test_signed_webhook_is_stored_and_answered_200(client: TestClient[Litestar], inbox: FakeInbox) -> None:
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
def test_webhook_without_a_valid_signature_is_refused(
    client: TestClient[Litestar], inbox: FakeInbox, header: str | None
) -> None:
    headers = {} if header is None else {"X-Hub-Signature-256": header}
    assert client.post("/webhook", content=BODY, headers=headers).status_code == 401
    assert inbox.stored == []


def test_no_signature_is_genuine_without_a_secret() -> None:
    assert not is_genuine("", BODY, signed(BODY, "")["X-Hub-Signature-256"])
    assert not is_genuine(APP_SECRET, BODY, "sha256=é")


def test_webhook_above_the_maximum_size_is_refused(client: TestClient[Litestar], inbox: FakeInbox) -> None:
    body = b'{"x": "' + b"y" * MAX_BODY_BYTES + b'"}'
    assert client.post("/webhook", content=body, headers=signed(body)).status_code == 413
    assert inbox.stored == []


def change(number: str | None, text: str = "halo") -> dict[str, Any]:
    metadata = {} if number is None else {"metadata": {"phone_number_id": number}}
    return {"field": "messages", "value": metadata | {"messages": [{"text": text}]}}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ([change("1")], [change("1")]),
        ([change("2")], None),
        ([change("2", "a"), change("2", "b")], None),
        ([change("2"), change("1"), change(None)], [change("1"), change(None)]),
        ([{"field": "message_template_status_update", "value": {"event": "PAUSED"}}],) * 2,
        (["x", {"value": 1}, {"value": {"metadata": []}}],) * 2,
    ],
    ids=["own", "other", "others", "both", "template-event", "malformed"],
)
def test_what_concerns_another_number_of_the_account_is_passed_by(
    client: TestClient[Litestar], inbox: FakeInbox, changes: list[Any], kept: list[Any] | None
) -> None:
    payload = {"object": "whatsapp_business_account", "entry": [{"id": "9", "changes": changes}]}
    body = json.dumps(payload).encode()
    assert client.post("/webhook", content=body, headers=signed(body)).status_code == 200
    assert inbox.stored == ([] if kept is None else [payload | {"entry": [{"id": "9", "changes": kept}]}])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 100_000])
def test_body_that_is_not_a_json_object_is_answered_400(
    client: TestClient[Litestar], inbox: FakeInbox, body: bytes
) -> None:
    assert client.post("/webhook", content=body, headers=signed(body)).status_code == 400
    assert inbox.stored == []


def test_values_that_jsonb_cannot_store_are_replaced() -> None:
    payload = parse(b'{"a\\u0000": ["\\ud800x", 1e999, -1e999, null, true, 1.5]}')
    assert payload == {"a\ufffd": ["?x", "inf", "-inf", None, True, 1.5]}


def test_answer_asks_for_a_retry_only_after_a_transient_error(
    client: TestClient[Litestar], inbox: FakeInbox
) -> None:
    inbox.error = httpx.ConnectError("away")
    assert client.post("/webhook", content=BODY, headers=signed(BODY)).status_code == 503
    inbox.error = APIError({"code": "INVALID_ARGUMENT", "message": "", "details": "", "hint": ""})
    assert client.post("/webhook", content=BODY, headers=signed(BODY)).status_code == 400


def test_webhooks_that_arrive_together_share_a_call_and_not_its_refusal(inbox: FakeInbox) -> None:
    inbox.error = APIError({"code": "INVALID_ARGUMENT", "message": "", "details": "", "hint": ""})
    inbox.refused = {"n": 3}

    async def run() -> list[Any]:
        store = InboxStore(inbox)
        webhooks = [asyncio.create_task(store.store({"n": number})) for number in range(6)]
        await asyncio.sleep(0)
        webhooks[5].cancel()  # Meta ended its request
        return await asyncio.gather(*webhooks, return_exceptions=True)

    results = asyncio.run(run())
    assert [type(result).__name__ for result in results] == ["NoneType"] * 3 + ["APIError"] + [
        "NoneType",
        "CancelledError",
    ]
    assert inbox.stored == [{"n": number} for number in (0, 1, 2, 4, 5)]
    assert inbox.store_calls == 1 + 6

    async def burst() -> None:
        store = InboxStore(inbox)
        await asyncio.gather(*(store.store({"m": number}) for number in range(250)))

    inbox.store_calls, inbox.error = 0, None
    asyncio.run(burst())
    assert inbox.store_calls == 3


def test_stored_webhook_is_processed_at_once(client: TestClient[Litestar], inbox: FakeInbox) -> None:
    """Long before the processor would look by itself."""
    inbox.process_calls = 2
    processor = InboxProcessor(inbox, idle_seconds=600)
    settings = client.app.state.settings

    async def run() -> int:
        task = asyncio.create_task(processor.run())
        store = InboxStore(inbox)
        app = Litestar([router(settings, lambda: store, lambda: processor)], openapi_config=None)
        async with asyncio.timeout(5):
            while inbox.process_calls < 3:
                await asyncio.sleep(0.01)
            async with AsyncTestClient(app) as caller:
                await caller.post("/webhook", content=BODY, headers=signed(BODY))
                while inbox.process_calls < 4:
                    await asyncio.sleep(0.01)
            processor.stop()
            await task
        return inbox.process_calls

    assert asyncio.run(run()) == 4


def test_inbox_is_processed_until_empty_despite_an_error(inbox: FakeInbox) -> None:
    async def run() -> None:
        processor = InboxProcessor(inbox, idle_seconds=0.01)
        task = asyncio.create_task(processor.run())
        async with asyncio.timeout(5):
            while inbox.process_calls < 4:
                processor.wake()
                await asyncio.sleep(0)
            processor.stop()
            await task

    asyncio.run(run())


@pytest.mark.parametrize("error", [UnexpectedAnswerError("process_inbox: <html>"), httpx.ReadTimeout("slow")])
def test_unexpected_answer_does_not_end_the_processing_of_the_inbox(
    inbox: FakeInbox, error: Exception
) -> None:
    async def refuse(limit: int) -> int:
        inbox.process_calls += 1
        if inbox.process_calls < 3:
            raise error
        return 0

    inbox.process_inbox = refuse  # type: ignore[method-assign]

    async def run() -> None:
        processor = InboxProcessor(inbox, idle_seconds=0.01)
        task = asyncio.create_task(processor.run())
        async with asyncio.timeout(5):
            while inbox.process_calls < 3:
                await asyncio.sleep(0.005)
            processor.stop()
            await task

    asyncio.run(run())


def test_page_of_a_proxy_instead_of_an_answer_makes_meta_repeat_the_webhook(
    client: TestClient[Litestar], inbox: FakeInbox
) -> None:
    inbox.error = UnexpectedAnswerError("inbound_message: <html>")
    assert client.post("/webhook", content=BODY, headers=signed(BODY)).status_code == 503
