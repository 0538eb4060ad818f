"""What comes in over WhatsApp: taps, texts and statuses; replayed, reordered, duplicated, malformed."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.domain.messaging.conftest import claim, outcomes, owe, receive, state, webhook
from tests.support.context import Connection, Context, broken_invariants, call, items, serving, submit, value

Order = dict[str, Any]


@pytest.fixture
def waiting(db: Connection, context: Context) -> Order:
    """An order that has been waiting for an hour."""
    made = submit(db, context.partners[0], items(SKU_000=1))
    db.execute("update app.orders set routed_at = now() - interval '1 hour'")
    return made


def button(conn: Connection, title: str = "Terima") -> str:
    """The payload of a button of the routing message, as a messenger gets it."""
    found = value(
        conn,
        "select b ->> 'payload' from app.claim_messages(100, 60) as m,"
        " jsonb_array_elements(m.buttons) as b where m.template = 'order_routed' and b ->> 'title' = %s",
        title,
    )
    assert isinstance(found, str)
    assert len(found) <= 256
    return found


def number(conn: Connection, order: Order) -> str:
    """The number of whoever serves it, as Meta writes it."""
    return str(
        value(
            conn,
            "select substr(s.whatsapp_number, 2) from app.orders o"
            " join app.sub_distributors s on s.id = o.routed_to_subdist_id where o.id = %s",
            order["id"],
        )
    )


def tap(payload: str | None, sender: str, key: str = "wamid.t1") -> dict[str, Any]:
    return {"id": key, "from": sender, "type": "button", "button": {"payload": payload, "text": "Terima"}}


def status_of(conn: Connection, order: Order) -> str:
    return str(value(conn, "select status from app.orders where id = %s", order["id"]))


def test_a_tap_on_terima_accepts_and_stops_the_clock(db: Connection, waiting: Order) -> None:
    receive(db, webhook(tap(button(db), number(db, waiting))))
    assert outcomes(db) == ["ACCEPT"]
    assert status_of(db, waiting) == "PROCESSING"
    assert value(db, "select last_response_at = now() from app.orders") is True
    assert broken_invariants(db) == {}


def test_a_tap_on_an_interactive_button_does_the_same(db: Connection, waiting: Order) -> None:
    reply = {"type": "button_reply", "button_reply": {"id": button(db), "title": "Terima"}}
    message = {"id": "w", "from": number(db, waiting), "type": "interactive", "interactive": reply}
    receive(db, webhook(message))
    assert outcomes(db) == ["ACCEPT"]


def test_a_tap_on_tolak_hands_the_order_to_headquarters(db: Connection, waiting: Order) -> None:
    receive(db, webhook(tap(button(db, "Tolak"), number(db, waiting))))
    assert outcomes(db) == ["DECLINE"]
    assert value(db, "select routed_to_subdist_id is null from app.orders") is True
    assert value(db, "select count(*) from app.messages where template = 'order_unrouted'") == 2


def test_a_tap_from_another_number_changes_nothing(db: Connection, waiting: Order) -> None:
    receive(db, webhook(tap(button(db), "628999999999")))
    assert outcomes(db) == ["button from another number"]
    assert status_of(db, waiting) == "SUBMITTED"


def test_a_button_is_good_once(db: Connection, waiting: Order) -> None:
    payload, sender = button(db), number(db, waiting)
    receive(db, webhook(tap(payload, sender)))
    receive(db, webhook(tap(payload, sender, "wamid.t2")))
    assert outcomes(db) == ["ACCEPT", "button out of date"]


def test_a_replayed_webhook_is_stored_and_taken_once(db: Connection, waiting: Order) -> None:
    body = webhook(tap(button(db), number(db, waiting)))
    assert [receive(db, body) for _ in range(3)] == [1, 0, 0]
    # The same tap in another batch is the same tap; so is a webhook that is worked on again by hand.
    receive(db, body | {"batch": 2})
    db.execute("update app.inbound_messages set processed_at = null")
    assert value(db, "select app.process_inbox()") == 2
    assert outcomes(db) == ["ACCEPT"]
    assert value(db, "select count(*) from app.order_events where event = 'ACCEPT'") <= 1


def test_a_button_of_a_former_clock_or_route_is_out_of_date(
    db: Connection, context: Context, waiting: Order
) -> None:
    payload, sender = button(db), number(db, waiting)
    other = next(s for s in context.subdists if s.sub != serving(db, waiting).sub)
    call(db, context.admin, "reroute_order", order_id=waiting["id"], subdist_id=other.sub)
    receive(db, webhook(tap(payload, sender)))
    receive(db, webhook(tap(payload, number(db, waiting), "wamid.t2")))
    assert outcomes(db) == ["button out of date"] * 2


def answers(conn: Connection) -> list[tuple[str, str]]:
    """(business name, text) of what tappers are told; everything that is owed goes out."""
    found = []
    conn.execute("update app.messages set status = 'SENT' where status = 'CLAIMED'")
    while rows := conn.execute(
        "select template, recipient_name, body from app.claim_messages(100, 60)"
    ).fetchall():
        conn.execute("update app.messages set status = 'SENT' where status = 'CLAIMED'")
        found += [(name, body) for template, name, body in rows if template == "button_outdated"]
    return found


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("answered", "pesanan sudah Anda jawab, atau ada pesan yang lebih baru"),
        ("cancelled", "pesanan sudah dibatalkan"),
        ("rejected", "pesanan sudah ditolak oleh kantor pusat"),
        ("rerouted", "pesanan tidak lagi menjadi tugas Anda"),
        ("approved", "pesanan sudah diproses lebih lanjut"),
    ],
)
def test_who_taps_an_outdated_button_is_told_why_it_does_nothing(
    db: Connection, context: Context, waiting: Order, deed: str, reason: str
) -> None:
    payload, sender, who = button(db), number(db, waiting), serving(db, waiting)
    name = value(db, "select business_name from app.sub_distributors where id = %s", who.sub)
    if deed == "cancelled":
        call(db, context.partners[0], "cancel_order", order_id=waiting["id"], reason="salah")
    elif deed == "rejected":
        call(db, context.admin, "reject_order", order_id=waiting["id"], reason="salah")
    elif deed == "rerouted":
        other = next(s for s in context.subdists if s.sub != who.sub)
        call(db, context.admin, "reroute_order", order_id=waiting["id"], subdist_id=other.sub)
    else:
        call(db, who, "respond_order", order_id=waiting["id"], decision="ACCEPT")
    if deed == "approved":
        call(db, context.admin, "approve_order", order_id=waiting["id"])
    body = webhook(tap(payload, sender))
    receive(db, body)
    expected = (
        f"Tombol pada pesan pesanan {waiting['order_number']} sudah tidak berlaku: {reason}."
        " Ketukan Anda tidak mengubah apa pun."
    )
    # one still waiting is enough for more taps, and a replay of the webhook is no tap
    receive(db, webhook(tap(payload, sender, "wamid.t2")))
    receive(db, body | {"again": 1})
    assert answers(db) == [(name, expected)]
    receive(db, body | {"again": 2})
    assert answers(db) == []
    receive(db, webhook(tap(payload, sender, "wamid.t3")))
    assert len(answers(db)) == 1


def test_whoever_was_never_offered_the_button_gets_no_answer(
    db: Connection, context: Context, waiting: Order
) -> None:
    payload, who = button(db), serving(db, waiting)
    other = next(s for s in context.subdists if s.sub != who.sub)
    another = value(db, "select whatsapp_number from app.sub_distributors where id = %s", other.sub)
    receive(db, webhook(tap(payload, another), tap(payload, "628999999999", "wamid.t2")))
    call(db, who, "respond_order", order_id=waiting["id"], decision="ACCEPT")
    receive(db, webhook(tap(payload, another, "wamid.t3"), tap(payload, "628999999999", "wamid.t4")))
    assert outcomes(db) == ["button from another number"] * 2 + ["button out of date"] * 2
    assert value(db, "select count(*) from app.messages where template = 'button_outdated'") == 0


def open_windows(conn: Connection) -> list[bool]:
    rows = conn.execute(
        "select window_open from app.claim_messages(100, 60) where template = 'order_routed'"
    ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("hours", "open_"), [(-5, True), (0, True), (23.8, True), (23.9, False), (24, False), (None, False)]
)
def test_free_form_is_allowed_for_a_day_after_the_readers_last_word(
    db: Connection, waiting: Order, hours: float | None, open_: bool
) -> None:
    now = value(db, "select extract(epoch from now())::bigint")
    if hours is not None:
        said = text("halo", number(db, waiting)) | {"timestamp": str(int(now - hours * 3600))}
        receive(db, webhook(said))
        receive(db, webhook(said | {"id": "wamid.older", "timestamp": "1"}))
    assert open_windows(db) == [open_]
    assert value(db, "select count(*) from app.conversations where last_inbound_at > now()") == 0


@pytest.mark.parametrize("at", ["", "x", "9" * 40, None, {}])
def test_a_word_without_its_time_opens_no_window(db: Connection, waiting: Order, at: Any) -> None:
    receive(db, webhook(text("halo", number(db, waiting)) | {"timestamp": at}))
    assert open_windows(db) == [False]


def test_a_forged_signature_opens_nothing(db: Connection, context: Context, waiting: Order) -> None:
    accept, sender = button(db), number(db, waiting)
    decision, order_id, signature = accept.split(":")
    other = submit(db, context.partners[1], items(SKU_000=1))
    forged = [
        f"DECLINE:{order_id}:{signature}",
        f"{decision}:{other['id']}:{signature}",
        f"{decision}:{order_id}:{signature[:-2]}AA",
        f"{decision}:{order_id}:",
        f"{decision}:{order_id}",
        f"{decision}:{'x' * 36}:{signature}",
        f"PROGRESS:{order_id}:{signature}",
        f"{accept}:more",
        "",
        None,
    ]
    for n, payload in enumerate(forged):
        receive(db, webhook(tap(payload, sender, f"wamid.f{n}")))
    assert set(outcomes(db)) == {"button out of date", "unknown button"}
    assert status_of(db, waiting) == "SUBMITTED"


def test_a_suspended_sub_distributors_tap_answers_nothing(db: Connection, waiting: Order) -> None:
    payload, sender = button(db), number(db, waiting)
    db.execute(
        "set local session_replication_role = replica;"
        "update app.sub_distributors set status = 'SUSPENDED';"
        "set local session_replication_role = origin"
    )
    receive(db, webhook(tap(payload, sender)))
    assert outcomes(db) == ["button from another number"]


def text(body: Any, sender: Any = "6281200000000", key: str = "wamid.x") -> dict[str, Any]:
    return {"id": key, "from": sender, "type": "text", "text": {"body": body}}


def handed_over(conn: Connection) -> list[tuple[str, str]]:
    rows = conn.execute(
        "select a.role::text, m.variables ->> 'sender' from app.messages m join app.agents a"
        " on a.id = m.recipient_id where m.template = 'inbound_text' order by 1, 2"
    )
    return [(row[0], row[1]) for row in rows]


def test_free_text_goes_to_the_agents_of_the_region(db: Connection, context: Context) -> None:
    sub = value(db, "select substr(whatsapp_number, 2) from app.sub_distributors limit 1")
    partner = value(db, "select substr(phone, 2) from app.partners order by email limit 1")
    receive(db, webhook(text("Stok habis", sub), text("Kapan?", partner, "wamid.y")))
    assert outcomes(db) == ["forwarded"] * 2
    assert [role for role, _ in handed_over(db)] == ["SALESMAN"] * 4
    assert {sender.split(" (")[0] for _, sender in handed_over(db)} == {"CV Sinar", "Salon 0"}


def test_a_strangers_text_goes_to_headquarters(db: Connection, context: Context) -> None:
    receive(db, webhook(text("Halo", "14155550100"), {"id": "p", "type": "image", "from": "14155550100"}))
    assert [role for role, _ in handed_over(db)] == ["ADMIN"] * 4
    bodies = db.execute("select variables ->> 'text' from app.messages").fetchall()
    assert {row[0] for row in bodies} == {"Halo", "[image]"}


def status(key: str, what: str, ours: str | None = None, **more: Any) -> dict[str, Any]:
    return (
        {"id": key, "status": what, "timestamp": "1763884800", "recipient_id": "62"}
        | ({"biz_opaque_callback_data": ours} if ours else {})
        | more
    )


def test_statuses_of_a_batch_reach_their_messages(db: Connection, context: Context) -> None:
    one, two = owe(db, context.partners[0].sub), owe(db, context.partners[1].sub)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.1')", [one])
    batch = {
        "entry": [
            {"changes": [{"value": {"statuses": [status("wamid.1", "read"), status("wamid.1", "sent")]}}]},
            {"changes": [{"value": {}}, {"value": {"statuses": [status("wamid.2", "delivered", two)]}}]},
        ]
    }
    receive(db, batch)
    assert (state(db, one).status, state(db, two).status) == ("READ", "DELIVERED")
    at = value(db, "select extract(epoch from delivered_at)::int from app.messages where id = %s", one)
    assert at == 1763884800


def test_a_failed_status_carries_its_code_to_the_dead_letter(db: Connection, context: Context) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    receive(db, webhook(status("wamid.1", "failed", errors=[{"code": 131026}]), kind="statuses"))
    assert (state(db, message).status, state(db, message).error_code) == ("FAILED", "131026")
    assert value(db, "select count(*) from app.messages where channel = 'EMAIL'") == 1


def test_one_unknown_id_does_not_fail_the_others(db: Connection, context: Context) -> None:
    message = owe(db, context.partners[0].sub)
    claim(db)
    statuses = [status("wamid.nobody", "read"), status("wamid.1", "sent", message)]
    receive(db, webhook(*statuses, kind="statuses"))
    assert state(db, message).status == "SENT"


MALFORMED: list[Any] = [
    {},
    {"entry": None},
    {"entry": "x"},
    {"entry": [1, None, [], {"changes": None}, {"changes": [{"value": None}, {"value": []}, {}]}]},
    {"entry": {"changes": {"value": {"messages": {"id": "w", "type": 7, "from": {}}}}}},
    webhook(text(None), text({}, 5, "b"), text([], None, "c"), {"id": None}, {}, {"type": "text"}),
    webhook(text("x" * 100_000, "+" * 300, "k" * 5000)),
    webhook({"id": {"a": 1}, "type": {"b": 2}, "button": [1], "from": ["x"]}),
    webhook(tap({"x": 1}, None), kind="messages"),  # type: ignore[arg-type]
    webhook({}, {"id": 1}, status("", "read"), status("w", "exploded"), {"status": {}}, kind="statuses"),
    webhook(status("x" * 300, "read"), status("w", "read", "not a uuid"), kind="statuses"),
    webhook(status("w", "read", timestamp="9" * 40), status("w", "read", timestamp={}), kind="statuses"),
    {"entry": [{"changes": [{"value": {"statuses": "read", "messages": [[[[]]]]}}]}]},
]


@pytest.mark.parametrize("payload", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_webhooks_are_harmless(db: Connection, waiting: Order, payload: Any) -> None:
    assert receive(db, payload) == 1
    assert value(db, "select count(*) from app.inbound_messages where processed_at is null") == 0
    assert status_of(db, waiting) == "SUBMITTED"


def test_what_cannot_be_worked_on_is_noted_and_holds_nothing_up(db: Connection, waiting: Order) -> None:
    message = owe(db, serving(db, waiting).sub, "order_status", "SUBDIST")
    payload, sender = button(db), number(db, waiting)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    bad = status("wamid.1", "failed", errors=[{"code": "x" * 2000}])
    both = webhook(value_of={"statuses": [bad], "messages": [tap(payload, sender)]})
    receive(db, both)
    found = outcomes(db)
    assert "ACCEPT" in found
    assert [line for line in found if line.startswith("failed: ")]


def test_only_objects_are_stored(db: Connection) -> None:
    payloads: list[Any] = [[], "x", 1, None]
    for payload in payloads:
        with pytest.raises(Exception, match="INVALID_ARGUMENT"), db.transaction():
            db.execute("select app.inbound_message(%s)", [Jsonb(payload)])


def test_a_number_from_abroad_is_nobodys_of_here(db: Connection, context: Context) -> None:
    """WhatsApp gives numbers with their country and without a plus: 81 is Japan."""
    db.execute("update app.partners set phone = '+62819012345678' where id = %s", [context.partners[0].sub])
    receive(db, webhook(text("Halo", sender="819012345678") | {"timestamp": "1763884800"}))
    [sender] = db.execute(
        "select distinct variables ->> 'sender' from app.messages where template = 'inbound_text'"
    ).fetchall()
    assert "Salon" not in sender[0]
    assert value(db, "select number from app.conversations") == "+819012345678"
