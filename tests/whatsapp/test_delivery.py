"""Delivery over Meta's Cloud API, against the double."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.whatsapp.delivery import DeliveryError, UnknownOutcomeError
from adapters.whatsapp.messages import Button, Message
from adapters.whatsapp.meta import MetaDelivery
from adapters.whatsapp.rate_limit import Pace
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.template_export import Template, page
from adapters.whatsapp.templates import (
    LONGEST_BODY,
    free_form_buttons,
    parameters,
    positional,
    variable_names,
)
from hub import paths
from tests.support.context import Connection
from tests.whatsapp.fake_meta import Double, MetaError, approved, payloads

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


def using(told: Settings, do: Callable[[MetaDelivery], Awaitable[Any]], pace: Pace | None = None) -> Any:
    async def run() -> Any:
        async with MetaDelivery(told, pace) as delivery:
            return await do(delivery)

    return asyncio.run(run())


def deliver(told: Settings, *messages: Message) -> list[str]:
    """What became of each: Meta's id, or the error."""

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

    outcome: list[str] = using(told, run)
    return outcome


def templates(db: Connection) -> list[Template]:
    rows = db.execute("select template, body, buttons from app.message_templates()").fetchall()
    return [Template(*row) for row in rows]


def test_the_page_for_meta_is_that_of_the_database(db: Connection) -> None:
    text = (paths.root() / "docs" / "whatsapp-templates.md").read_text()
    assert text == page(templates(db)), "./hub docs writes it anew"


def test_meta_would_approve_every_template(db: Connection) -> None:
    assert {name for name, _ in approved()} == {template.name for template in templates(db)}


def test_every_template_is_taken_with_its_variables_and_buttons(
    db: Connection, meta: Double, told: Settings
) -> None:
    sent = []
    for template in templates(db):
        variables = dict.fromkeys(variable_names(template.body), "- satu\n- dua  \t tiga")
        buttons = [Button(title=title, payload="x" * 256) for title in template.buttons]
        sent.append(
            message(template=template.name, template_body=template.body, variables=variables, buttons=buttons)
        )
    outcome = deliver(told, *sent)
    assert [line[:6] for line in outcome] == ["wamid."] * len(sent)
    assert [seen["biz_opaque_callback_data"] for seen in meta.seen] == [str(each.id) for each in sent]
    assert meta.seen[0]["to"] == "6284000000001"
    parts = meta.seen[0]["template"]["components"]
    assert parts[0]["parameters"][2] == {"type": "text", "text": "satu; dua tiga"}
    assert [part["index"] for part in parts[1:]] == ["0", "1"]


BUTTONS = [Button(title="Terima", payload="x" * 256), Button(title="Tolak", payload="y")]


def test_buttons_go_in_free_form_while_the_window_is_open(meta: Double, told: Settings) -> None:
    meta.wrote["6284000000001"] = time.time()
    text = "Pesanan baru\n- satu\n- dua"
    open_ones = [
        message(body=text, buttons=BUTTONS, window_open=True),
        message(body="x" * 1024, buttons=[*BUTTONS, Button(title="t" * 20, payload="z")], window_open=True),
    ]
    assert [found[:6] for found in deliver(told, *open_ones)] == ["wamid."] * 2
    assert meta.seen[0]["type"] == "interactive"
    assert meta.seen[0]["interactive"]["body"]["text"] == text
    assert payloads(meta.seen[0]) == ["x" * 256, "y"]
    assert meta.seen[0]["biz_opaque_callback_data"] == str(open_ones[0].id)


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
def test_what_does_not_fit_goes_as_a_template(more: dict[str, Any]) -> None:
    fits: dict[str, Any] = {"body": "x", "buttons": BUTTONS, "window_open": True}
    assert free_form_buttons(message(**fits)) == BUTTONS
    assert free_form_buttons(message(**(fits | more))) == []


def test_a_closed_window_is_told(meta: Double, told: Settings) -> None:
    meta.wrote["6284000000001"] = time.time() - 24 * 3600 - 1
    assert deliver(told, message(buttons=BUTTONS, window_open=True)) == ["131047 never"]
    assert meta.seen == []


def test_an_order_of_five_hundred_lines_fits() -> None:
    body = "Isi:\n{{lines}}\nTotal {{grand_total}} ya."
    lines = "\n".join(f"- {n} x Sampo {n} (SKU-{n:03})" for n in range(500))
    values = parameters(body, {"lines": lines, "grand_total": "Rp1"})
    length = len("Isi:\n\nTotal  ya.") + sum(map(len, values))
    assert length <= LONGEST_BODY
    assert length > LONGEST_BODY - 10
    assert values[0].startswith("0 x Sampo 0 (SKU-000); 1 x")
    assert values[0].endswith("…")
    assert values[1] == "Rp1"


def test_what_is_missing_or_empty_is_a_dash() -> None:
    assert parameters("a {{x}} b {{y}} c {{z}} d", {"x": "", "y": None}) == ["-", "-", "-"]
    assert positional("a {{x}} b {{y}}") == "a {{1}} b {{2}}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (131000, "again"),
        (131016, "again"),
        (131056, "again"),
        (130429, "again"),
        (131048, "again"),
        (4, "again"),
        (80007, "again"),
        (190, "again"),
        (10, "again"),
        (131026, "never"),
        (131047, "never"),
        (132000, "never"),
        (132001, "never"),
        (132012, "never"),
        (132015, "never"),
        (132016, "never"),
        (999999, "never"),
    ],
)
def test_each_code_is_judged(meta: Double, told: Settings, code: int, expected: str) -> None:
    meta.rejections.append(MetaError(code, "no"))
    assert deliver(told, message()) == [f"{code} {expected}"]
    assert meta.seen == []


def test_a_bad_token_stops_everything(meta: Double, told: Settings) -> None:
    meta.token = "another"
    assert deliver(told, message(), message(), message()) == ["190 again"] * 3
    assert meta.requests == 1


def test_too_many_a_second_backs_off_longer_each_time(meta: Double, told: Settings) -> None:
    now = 1000.0
    pace = Pace(1e9, lambda: now)

    async def run(delivery: MetaDelivery) -> list[float]:
        nonlocal now
        pauses = []
        for _ in range(3):
            meta.rejections.append(MetaError(130429, "Rate limit hit"))
            with pytest.raises(DeliveryError, match="130429"):
                await delivery.deliver(message())
            pauses.append(pace.closed_until - now)
            with pytest.raises(DeliveryError, match="130429"):
                await delivery.deliver(message())
            now = pace.closed_until
        return pauses

    assert using(told, run, pace) == [2, 4, 8]
    assert meta.requests == 3


def test_our_own_pace_stays_below_metas(meta: Double, told: Settings) -> None:
    meta.per_second = 40
    told.whatsapp_per_second = 30

    async def run(delivery: MetaDelivery) -> None:
        await asyncio.gather(*(delivery.deliver(message(f"+62840{n:08}")) for n in range(50)))

    using(told, run)
    assert len(meta.seen) == 50


def test_one_reader_gets_a_burst_and_then_one_in_six_seconds() -> None:
    now = 0.0
    pace = Pace(1000, lambda: now)
    assert [pace.pair_allows("62") for _ in range(47)] == [True] * 45 + [False] * 2
    assert pace.pair_allows("63")
    now = 6.0
    assert [pace.pair_allows("62") for _ in range(2)] == [True, False]
    now = 1000.0
    assert all(pace.pair_allows("62") for _ in range(45))


def test_a_timeout_is_unknown_and_not_failed(meta: Double, told: Settings) -> None:
    meta.swallow = 1
    told.whatsapp_timeout_seconds = 0.3
    assert deliver(told, message()) == ["unknown"]
    assert len(meta.seen) == 1


def test_an_answer_from_something_on_the_way_is_unknown(meta: Double, told: Settings) -> None:
    meta.rejections.extend([502, 504])
    assert deliver(told, message(), message()) == ["unknown"] * 2


def test_meta_out_of_reach_is_tried_again(told: Settings) -> None:
    told.whatsapp_graph_url = "http://127.0.0.1:1"
    assert deliver(told, message()) == ["Meta is out of reach again"]


@pytest.mark.parametrize("number", [None, "", "+62-84", "salon@hub.test"])
def test_what_is_no_number_is_not_sent(meta: Double, told: Settings, number: str | None) -> None:
    [outcome] = deliver(told, message(number))
    assert outcome.endswith(" never")
    assert meta.requests == 0


def test_credentials_come_all_or_none() -> None:
    with pytest.raises(ValidationError, match="HUB_WHATSAPP_APP_SECRET"):
        Settings(jwt_secret="x" * 32, whatsapp_token="x")
