"""Delivery over Meta's Cloud API, against the fake Meta server."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.whatsapp.delivery import DeliveryError, UnknownOutcomeError
from adapters.whatsapp.messages import Button, Message
from adapters.whatsapp.meta import MetaDelivery
from adapters.whatsapp.rate_limit import RateLimit
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.template_export import QUERY, Template
from adapters.whatsapp.templates import (
    MAIL_ONLY,
    MAX_BODY_LENGTH,
    free_form_buttons,
    parameters,
    positional,
    variable_names,
)
from tests.support.context import Connection
from tests.whatsapp.fake_meta import FakeMeta, approved_templates, payloads

BODY = "Kabar pesanan {{order_number}}: kini {{status_text}}. Terima kasih."


def message(number: str | None = "+6284000000001", **more: Any) -> Message:
    fields: dict[str, Any] = {
        "id": uuid.uuid4(),
        "template": "order_status",
        "channel": "WHATSAPP",
        "recipient_type": "PARTNER",
        "recipient_name": "Salon",
        "recipient": number,
        "body": "...",
        "variables": {"order_number": "ORD-1", "status_text": "selesai", "unused": 1},
        "buttons": [],
        "order_id": None,
        "attempts": 1,
        "template_body": BODY,
    }
    return Message(**(fields | more))


def with_delivery(
    settings: Settings, do: Callable[[MetaDelivery], Awaitable[Any]], rate_limit: RateLimit | None = None
) -> Any:
    async def run() -> Any:
        async with MetaDelivery(settings, rate_limit) as delivery:
            return await do(delivery)

    return asyncio.run(run())


def deliver(settings: Settings, *messages: Message) -> list[str]:
    """The outcome of each message: Meta's id, `<code> again`, `<code> never` or `unknown`."""

    async def run(delivery: MetaDelivery) -> list[str]:
        found = []
        for each in messages:
            try:
                found.append(await delivery.deliver(each))
            except DeliveryError as error:
                found.append(f"{error.code} {'again' if error.retry else 'never'}")
            except UnknownOutcomeError:
                found.append("unknown")
        return found

    outcome: list[str] = with_delivery(settings, run)
    return outcome


def templates(db: Connection) -> list[Template]:
    rows = db.execute(QUERY).fetchall()
    return [Template(*row) for row in rows]


def test_every_template_passes_metas_review(db: Connection) -> None:
    needed = {template.name for template in templates(db)} - MAIL_ONLY
    assert {name for name, _ in approved_templates()} == needed


def test_meta_accepts_every_template_with_its_variables_and_buttons(
    db: Connection, meta: FakeMeta, settings: Settings
) -> None:
    messages = []
    for template in templates(db):
        if template.name in MAIL_ONLY:
            continue
        variables = dict.fromkeys(variable_names(template.body), "- satu\n- dua  \t tiga")
        buttons = [Button(title=title, payload="x" * 256) for title in template.buttons]
        messages.append(
            message(template=template.name, template_body=template.body, variables=variables, buttons=buttons)
        )
    outcome = deliver(settings, *messages)
    assert [line[:6] for line in outcome] == ["wamid."] * len(messages)
    assert [body["biz_opaque_callback_data"] for body in meta.accepted] == [str(each.id) for each in messages]
    assert meta.accepted[0]["to"] == "6284000000001"
    parts = meta.accepted[0]["template"]["components"]
    assert parts[0]["parameters"][2] == {"type": "text", "text": "satu; dua tiga"}
    assert [part["index"] for part in parts[1:]] == ["0", "1"]


BUTTONS = [Button(title="Terima", payload="x" * 256), Button(title="Tolak", payload="y")]


def test_buttons_are_sent_in_free_form_while_the_window_is_open(meta: FakeMeta, settings: Settings) -> None:
    meta.last_inbound["6284000000001"] = time.time()
    text = "Pesanan baru\n- satu\n- dua"
    messages = [
        message(body=text, buttons=BUTTONS, window_open=True),
        message(body="x" * 1024, buttons=[*BUTTONS, Button(title="t" * 20, payload="z")], window_open=True),
    ]
    assert [found[:6] for found in deliver(settings, *messages)] == ["wamid."] * 2
    assert meta.accepted[0]["type"] == "interactive"
    assert meta.accepted[0]["interactive"]["body"]["text"] == text
    assert payloads(meta.accepted[0]) == ["x" * 256, "y"]
    assert meta.accepted[0]["biz_opaque_callback_data"] == str(messages[0].id)


@pytest.mark.parametrize(
    "more",
    [
        {"window_open": False},
        {"body": "x" * 1025},
        {"buttons": []},
        {"buttons": [Button(title=f"{n}", payload=f"{n}") for n in range(4)]},
        {"buttons": [Button(title="t" * 21, payload="x")]},
        {"buttons": [Button(title="t", payload="x" * 257)]},
    ],
    ids=["closed", "long", "no-buttons", "four-buttons", "long-title", "long-payload"],
)
def test_message_outside_free_form_limits_is_sent_as_template(more: dict[str, Any]) -> None:
    fits: dict[str, Any] = {"body": "x", "buttons": BUTTONS, "window_open": True}
    assert free_form_buttons(message(**fits)) == BUTTONS
    assert free_form_buttons(message(**(fits | more))) == []


def test_free_form_message_outside_the_window_is_reported_as_131047(
    meta: FakeMeta, settings: Settings
) -> None:
    meta.last_inbound["6284000000001"] = time.time() - 24 * 3600 - 1
    assert deliver(settings, message(buttons=BUTTONS, window_open=True)) == ["131047 never"]
    assert meta.accepted == []


def test_variables_of_an_order_with_500_lines_are_cut_to_the_maximum_length() -> None:
    body = "Isi:\n{{lines}}\nTotal {{grand_total}} ya."
    lines = "\n".join(f"- {n} x Sampo {n} (SKU-{n:03})" for n in range(500))
    values = parameters(body, {"lines": lines, "grand_total": "Rp1"})
    length = len("Isi:\n\nTotal  ya.") + sum(map(len, values))
    assert length <= MAX_BODY_LENGTH
    assert length > MAX_BODY_LENGTH - 10
    assert values[0].startswith("0 x Sampo 0 (SKU-000); 1 x")
    assert values[0].endswith("…")
    assert values[1] == "Rp1"


def test_missing_or_empty_variable_becomes_a_dash() -> None:
    assert parameters("a {{x}} b {{y}} c {{z}} d", {"x": "", "y": None}) == ["-", "-", "-"]
    assert positional("a {{x}} b {{y}}") == "a {{1}} b {{2}}"


def test_own_rate_limit_keeps_sending_below_metas_limit(meta: FakeMeta, settings: Settings) -> None:
    meta.per_second = 40
    settings.whatsapp_per_second = 30

    async def send(delivery: MetaDelivery, number: str) -> None:
        await delivery.turn()
        await delivery.deliver(message(number))

    async def run(delivery: MetaDelivery) -> None:
        await asyncio.gather(*(send(delivery, f"+62840{n:08}") for n in range(50)))

    with_delivery(settings, run)
    assert len(meta.accepted) == 50


@pytest.mark.parametrize(("idle", "at_once"), [(0.0, 1), (0.02, 2), (60.0, 4)])
def test_unused_slots_are_made_up_for_within_a_twentieth_of_a_second(
    idle: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 a second: a slot each 16 ms. What an idle minute did not send is not sent at once."""
    now, waits = 100.0, list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def acquire(times: int) -> None:
        for _ in range(times):
            await rate_limit.acquire()

    monkeypatch.setattr("adapters.whatsapp.rate_limit.asyncio.sleep", sleep)
    rate_limit = RateLimit(64, lambda: now)
    asyncio.run(acquire(10))
    now += waits[-1] + 1 / 64 + idle  # when the next slot is due, or later
    waits.clear()
    asyncio.run(acquire(6))
    assert len(waits) == 6 - at_once


def test_requests_that_meta_may_count_in_one_second_stay_below_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For three seconds none is answered, as in front of a network that stalls and then delivers all."""
    now, opened, found = 100.0, ExitStack(), list[int]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now >= 103 and not found:
            found.append(sent)
            opened.close()

    monkeypatch.setattr("adapters.whatsapp.rate_limit.asyncio.sleep", sleep)
    rate_limit, sent = RateLimit(70, lambda: now), 0

    async def run() -> None:
        nonlocal sent
        for _ in range(80):
            await rate_limit.acquire()
            rate_limit.begin()
            opened.callback(rate_limit.end)
            sent += 1

    asyncio.run(run())
    assert found == [75]
    assert now >= 104, "those that were answered count for a second"


def test_proxy_of_the_environment_is_not_used(
    meta: FakeMeta, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HUB_WHATSAPP_GRAPH_URL names a proxy where one is needed."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    [outcome] = deliver(settings, message("+6284000000001"))
    assert outcome.startswith("wamid.")


def test_recipient_gets_a_burst_of_45_then_one_message_in_six_seconds() -> None:
    now = 0.0
    rate_limit = RateLimit(1000, lambda: now)
    assert [rate_limit.acquire_pair("62") for _ in range(47)] == [True] * 45 + [False] * 2
    assert rate_limit.acquire_pair("63")
    now = 6.0
    assert [rate_limit.acquire_pair("62") for _ in range(2)] == [True, False]
    now = 1000.0
    assert all(rate_limit.acquire_pair("62") for _ in range(45))


def test_timeout_leaves_the_outcome_unknown(meta: FakeMeta, settings: Settings) -> None:
    meta.lost_answers = 1
    settings.whatsapp_timeout_seconds = 0.3
    assert deliver(settings, message()) == ["unknown"]
    assert len(meta.accepted) == 1


def test_message_is_given_back_when_meta_is_unreachable(settings: Settings) -> None:
    settings.whatsapp_graph_url = "http://127.0.0.1:1"
    assert deliver(settings, message()) == ["ConnectError again"]


def test_probe_reads_the_number_and_reports_a_refused_token(meta: FakeMeta, settings: Settings) -> None:
    with_delivery(settings, MetaDelivery.probe)
    meta.token = "another"
    with pytest.raises(DeliveryError, match="190"):
        with_delivery(settings, MetaDelivery.probe)
    meta.outage = 502
    with pytest.raises(UnknownOutcomeError, match="502"):
        with_delivery(settings, MetaDelivery.probe)
    assert (meta.probes, meta.requests) == (3, 0)


@pytest.mark.parametrize("number", [None, "", "+62-84", "salon@hub.test"])
def test_message_without_a_valid_phone_number_is_not_sent(
    meta: FakeMeta, settings: Settings, number: str | None
) -> None:
    [outcome] = deliver(settings, message(number))
    assert outcome.endswith(" never")
    assert meta.requests == 0


def test_incomplete_credentials_are_refused() -> None:
    with pytest.raises(ValidationError, match="HUB_WHATSAPP_APP_SECRET"):
        Settings.model_validate({"jwt_secret": "x" * 32, "whatsapp_token": "x"})
