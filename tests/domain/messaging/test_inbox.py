"""Webhooks of WhatsApp: buttons, texts and statuses; replayed, reordered, duplicated or malformed."""

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.support.context import (
    Connection,
    Context,
    broken_invariants,
    call,
    items,
    other_subdist,
    routed_subdist,
    submit,
    value,
)
from tests.support.messaging import (
    claim,
    enqueue,
    inbox_outcomes,
    mail_count,
    message_state,
    receive,
    status_update,
    text_message,
    webhook,
)

Order = dict[str, Any]

WEBHOOKS = Path(__file__).parent / "webhooks"


@pytest.fixture
def routed_order(db: Connection, context: Context) -> Order:
    """An order that has waited for an hour."""
    order = submit(db, context.partners[0], items(SKU_000=1))
    db.execute("update app.orders set routed_at = now() - interval '1 hour'")
    return order


def button_payload(conn: Connection, title: str = "Terima") -> str:
    """The payload of a button of the routing message, as the messenger claims it."""
    found = value(
        conn,
        "select b ->> 'payload' from app.claim_messages(100, 60) as m,"
        " jsonb_array_elements(m.buttons) as b where m.template = 'order_routed' and b ->> 'title' = %s",
        title,
    )
    assert isinstance(found, str)
    assert len(found) <= 256
    return found


def subdist_number(conn: Connection, order: Order) -> str:
    """The number of the order's sub-distributor, as Meta writes it."""
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


def test_accept_button_accepts_the_order_and_restarts_the_clock(db: Connection, routed_order: Order) -> None:
    receive(db, webhook(tap(button_payload(db), subdist_number(db, routed_order))))
    assert inbox_outcomes(db) == ["ACCEPT"]
    assert status_of(db, routed_order) == "PROCESSING"
    assert value(db, "select last_response_at = now() from app.orders") is True
    assert broken_invariants(db) == {}


def test_interactive_accept_button_accepts_the_order(db: Connection, routed_order: Order) -> None:
    reply = {"type": "button_reply", "button_reply": {"id": button_payload(db), "title": "Terima"}}
    message = {
        "id": "w",
        "from": subdist_number(db, routed_order),
        "type": "interactive",
        "interactive": reply,
    }
    receive(db, webhook(message))
    assert inbox_outcomes(db) == ["ACCEPT"]


def test_decline_button_hands_the_order_to_headquarters(db: Connection, routed_order: Order) -> None:
    receive(db, webhook(tap(button_payload(db, "Tolak"), subdist_number(db, routed_order))))
    assert inbox_outcomes(db) == ["DECLINE"]
    assert value(db, "select routed_to_subdist_id is null from app.orders") is True
    assert value(db, "select count(*) from app.messages where template = 'order_unrouted'") == 2


def test_button_from_another_number_changes_nothing(db: Connection, routed_order: Order) -> None:
    receive(db, webhook(tap(button_payload(db), "628999999999")))
    assert inbox_outcomes(db) == ["button from another number"]
    assert status_of(db, routed_order) == "SUBMITTED"


def test_button_works_once(db: Connection, routed_order: Order) -> None:
    payload, sender = button_payload(db), subdist_number(db, routed_order)
    receive(db, webhook(tap(payload, sender)))
    receive(db, webhook(tap(payload, sender, "wamid.t2")))
    assert inbox_outcomes(db) == ["ACCEPT", "button out of date"]


def test_replayed_webhook_is_processed_once(db: Connection, routed_order: Order) -> None:
    body = webhook(tap(button_payload(db), subdist_number(db, routed_order)))
    assert [receive(db, body) for _ in range(3)] == [1, 0, 0]
    # The same tap in another batch is a repeat, and so is a webhook that is processed again by hand.
    receive(db, body | {"batch": 2})
    db.execute("update app.inbound_messages set processed_at = null")
    assert value(db, "select api.process_inbox()") == 2
    assert inbox_outcomes(db) == ["ACCEPT"]
    assert value(db, "select count(*) from app.order_events where event = 'ACCEPT'") <= 1


def test_button_of_a_former_route_is_outdated(db: Connection, context: Context, routed_order: Order) -> None:
    payload, sender = button_payload(db), subdist_number(db, routed_order)
    other = other_subdist(db, context, routed_order)
    call(db, context.admin, "reroute_order", order_id=routed_order["id"], subdist_id=other.sub)
    receive(db, webhook(tap(payload, sender)))
    receive(db, webhook(tap(payload, subdist_number(db, routed_order), "wamid.t2")))
    assert inbox_outcomes(db) == ["button out of date"] * 2


def button_answers(conn: Connection) -> list[tuple[str, str]]:
    """Send all messages; returns (business name, text) of the answers to outdated buttons."""
    found = []
    conn.execute("update app.messages set status = 'SENT' where status = 'CLAIMED'")
    while rows := conn.execute(
        "select template, recipient_name, body from app.claim_messages(100, 60)"
    ).fetchall():
        conn.execute("update app.messages set status = 'SENT' where status = 'CLAIMED'")
        found += [(name, body) for template, name, body in rows if template == "button_outdated"]
    return found


@pytest.mark.parametrize(
    ("transition", "reason"),
    [
        ("answered", "pesanan sudah Anda jawab, atau ada pesan yang lebih baru"),
        ("cancelled", "pesanan sudah dibatalkan"),
        ("rejected", "pesanan sudah ditolak oleh kantor pusat"),
        ("rerouted", "pesanan tidak lagi menjadi tugas Anda"),
        ("approved", "pesanan sudah diproses lebih lanjut"),
    ],
)
def test_outdated_button_is_answered_with_the_reason(
    db: Connection, context: Context, routed_order: Order, transition: str, reason: str
) -> None:
    payload, sender, who = (
        button_payload(db),
        subdist_number(db, routed_order),
        routed_subdist(db, routed_order),
    )
    name = value(db, "select business_name from app.sub_distributors where id = %s", who.sub)
    if transition == "cancelled":
        call(db, context.partners[0], "cancel_order", order_id=routed_order["id"], reason="salah")
    elif transition == "rejected":
        call(db, context.admin, "reject_order", order_id=routed_order["id"], reason="salah")
    elif transition == "rerouted":
        other = other_subdist(db, context, routed_order)
        call(db, context.admin, "reroute_order", order_id=routed_order["id"], subdist_id=other.sub)
    else:
        call(db, who, "respond_order", order_id=routed_order["id"], decision="ACCEPT")
    if transition == "approved":
        call(db, context.admin, "approve_order", order_id=routed_order["id"])
    body = webhook(tap(payload, sender))
    receive(db, body)
    expected = (
        f"Tombol pada pesan pesanan {routed_order['order_number']} sudah tidak berlaku: {reason}."
        " Ketukan Anda tidak mengubah apa pun."
    )
    # further taps add no answer while one is pending, nor does a replay of the webhook
    receive(db, webhook(tap(payload, sender, "wamid.t2")))
    receive(db, body | {"again": 1})
    assert button_answers(db) == [(name, expected)]
    receive(db, body | {"again": 2})
    assert button_answers(db) == []
    receive(db, webhook(tap(payload, sender, "wamid.t3")))
    assert len(button_answers(db)) == 1


def test_outdated_button_from_another_number_is_not_answered(
    db: Connection, context: Context, routed_order: Order
) -> None:
    payload, who = button_payload(db), routed_subdist(db, routed_order)
    other = other_subdist(db, context, routed_order)
    another = value(db, "select whatsapp_number from app.sub_distributors where id = %s", other.sub)
    receive(db, webhook(tap(payload, another), tap(payload, "628999999999", "wamid.t2")))
    call(db, who, "respond_order", order_id=routed_order["id"], decision="ACCEPT")
    receive(db, webhook(tap(payload, another, "wamid.t3"), tap(payload, "628999999999", "wamid.t4")))
    assert inbox_outcomes(db) == ["button from another number"] * 2 + ["button out of date"] * 2
    assert value(db, "select count(*) from app.messages where template = 'button_outdated'") == 0


def open_windows(conn: Connection) -> list[bool]:
    rows = conn.execute(
        "select window_open from app.claim_messages(100, 60) where template = 'order_routed'"
    ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("hours", "is_open"), [(-5, True), (0, True), (23.8, True), (23.9, False), (24, False), (None, False)]
)
def test_free_form_window_is_open_for_a_day_after_the_last_inbound_message(
    db: Connection, routed_order: Order, hours: float | None, is_open: bool
) -> None:
    now = value(db, "select extract(epoch from now())::bigint")
    if hours is not None:
        message = text_message("halo", subdist_number(db, routed_order)) | {
            "timestamp": str(int(now - hours * 3600))
        }
        receive(db, webhook(message))
        receive(db, webhook(message | {"id": "wamid.older", "timestamp": "1"}))
    assert open_windows(db) == [is_open]
    assert value(db, "select count(*) from app.conversations where last_inbound_at > now()") == 0


@pytest.mark.parametrize("at", ["", "x", "9" * 40, None, {}])
def test_inbound_message_without_a_valid_time_opens_no_window(
    db: Connection, routed_order: Order, at: Any
) -> None:
    receive(db, webhook(text_message("halo", subdist_number(db, routed_order)) | {"timestamp": at}))
    assert open_windows(db) == [False]


def test_button_with_a_forged_signature_changes_nothing(
    db: Connection, context: Context, routed_order: Order
) -> None:
    accept, sender = button_payload(db), subdist_number(db, routed_order)
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
    assert set(inbox_outcomes(db)) <= {"button out of date", "forwarded", "empty", "repeated"}
    assert status_of(db, routed_order) == "SUBMITTED"


def test_button_of_a_suspended_sub_distributor_changes_nothing(db: Connection, routed_order: Order) -> None:
    payload, sender = button_payload(db), subdist_number(db, routed_order)
    db.execute(
        "set local session_replication_role = replica;"
        "update app.sub_distributors set status = 'SUSPENDED';"
        "set local session_replication_role = origin"
    )
    receive(db, webhook(tap(payload, sender)))
    assert inbox_outcomes(db) == ["button from another number"]


def forwarded_texts(conn: Connection) -> list[tuple[str, str]]:
    """(role of the agent, sender) of each text that was forwarded."""
    rows = conn.execute(
        "select a.role::text, m.variables ->> 'sender' from app.messages m join app.agents a"
        " on a.id = m.recipient_id where m.template = 'inbound_text' order by 1, 2"
    )
    return [(row[0], row[1]) for row in rows]


def test_free_text_is_forwarded_to_the_agents_of_the_region(db: Connection, context: Context) -> None:
    sub = value(db, "select substr(whatsapp_number, 2) from app.sub_distributors limit 1")
    partner = value(db, "select substr(phone, 2) from app.partners order by email limit 1")
    receive(db, webhook(text_message("Stok habis", sub), text_message("Kapan?", partner, "wamid.y")))
    assert inbox_outcomes(db) == ["forwarded"] * 2
    assert [role for role, _ in forwarded_texts(db)] == ["SALESMAN"] * 4
    assert {sender.split(" (")[0] for _, sender in forwarded_texts(db)} == {"CV Sinar", "Salon 0"}


def test_text_from_an_unknown_number_is_forwarded_to_headquarters(db: Connection, context: Context) -> None:
    receive(
        db, webhook(text_message("Halo", "14155550100"), {"id": "p", "type": "image", "from": "14155550100"})
    )
    assert [role for role, _ in forwarded_texts(db)] == ["ADMIN"] * 4
    bodies = db.execute("select variables ->> 'text' from app.messages").fetchall()
    assert {row[0] for row in bodies} == {"Halo", "[gambar]"}


def case(name: str) -> dict[str, Any]:
    """A recorded webhook of tests/domain/messaging/webhooks."""
    found: dict[str, Any] = json.loads((WEBHOOKS / f"{name}.json").read_text())
    return found


def message_of(element: dict[str, Any], **contact: Any) -> dict[str, Any]:
    """A webhook with one message of a partner, unless it says otherwise."""
    message = {"id": "wamid.m", "from": "628130000000", "timestamp": "1795730400"} | element
    return webhook(value_of={"messages": [message], "contacts": [contact] if contact else []})


def texts(conn: Connection) -> set[str]:
    """The texts that were forwarded."""
    rows = conn.execute("select variables ->> 'text' from app.messages where template = 'inbound_text'")
    return {row[0] for row in rows}


def test_webhooks_of_one_call_are_stored_once_in_their_order(db: Connection, context: Context) -> None:
    names = ["C", "A", "B", "A"]
    bodies = [webhook(text_message(f"Halo {name}", key=f"wamid.{name}")) for name in names]
    stored = "select app.store_webhooks(%s) ->> 'stored'"
    assert value(db, stored, Jsonb(bodies)) == "3"
    assert value(db, stored, Jsonb(bodies[1:])) == "0"
    assert value(db, "select api.process_inbox()") == 3
    rows = db.execute("select variables ->> 'text' from app.messages order by position").fetchall()
    assert [text for (text,) in dict.fromkeys(rows)] == ["Halo C", "Halo A", "Halo B"]


@pytest.mark.regression("dubizzle/courier PR 1094")
@pytest.mark.parametrize(
    "sender",
    [
        {},
        {"from": None},
        {"from": "", "from_user_id": ""},
        {"from": "", "from_user_id": None},
        {"from": "", "from_user_id": "ID.29"},
        {"from": "", "from_user_id": "628999999999"},
        {"from": "", "timestamp": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["button", "interactive"])
def test_tap_of_a_sender_without_a_number_is_accepted_by_its_signature(
    db: Connection, routed_order: Order, sender: dict[str, Any], kind: str
) -> None:
    body = case("tap-without-number")
    [message] = body["entry"][0]["changes"][0]["value"]["messages"]
    message |= sender
    if kind == "button":
        message["button"]["payload"] = button_payload(db)
    else:
        del message["button"]
        message |= {"type": kind, kind: {"button_reply": {"id": button_payload(db), "title": "Terima"}}}
    receive(db, body)
    assert (inbox_outcomes(db), status_of(db, routed_order)) == (["ACCEPT"], "PROCESSING")


@pytest.mark.parametrize("sender", ["628999999999", "x", "0"])
def test_tap_from_another_or_invalid_number_is_refused(
    db: Connection, routed_order: Order, sender: str
) -> None:
    receive(db, webhook(tap(button_payload(db), sender) | {"from_user_id": "ID.1"}))
    assert inbox_outcomes(db) == ["button from another number"]


@pytest.mark.regression("dubizzle/courier PR 1094")
@pytest.mark.parametrize(
    ("contact", "name"),
    [
        ({}, "CV Contoh (ID.10000000000000000001)"),
        ({"wa_id": None}, "CV Contoh (ID.10000000000000000001)"),
        ({"profile": {"name": "Toko {{name}}"}}, "Toko {{name}} (ID.10000000000000000001)"),
        ({"profile": {}}, "(ID.10000000000000000001)"),
        ({"profile": None}, "(ID.10000000000000000001)"),
        ({"user_id": "ID.2"}, "(ID.10000000000000000001)"),
    ],
    ids=str,
)
def test_text_of_a_sender_without_a_number_names_profile_and_user_id(
    db: Connection, context: Context, contact: dict[str, Any], name: str
) -> None:
    body = case("text-without-number")
    body["entry"][0]["changes"][0]["value"]["contacts"][0] |= contact
    receive(db, body)
    assert {sender for _, sender in forwarded_texts(db)} == {name}
    assert texts(db) == {"Stok habis, kirim besok ya"}


@pytest.mark.regression("tawn33y/whatsapp-cloud-api#120")
@pytest.mark.parametrize(("known", "outcome"), [(True, "number changed"), (False, "stranger changed number")])
def test_changed_number_notifies_headquarters_and_changes_nothing(
    db: Connection, context: Context, outcome: str, *, known: bool
) -> None:
    if known:
        db.execute("update app.partners set phone = '+628111111111' where id = %s", [context.partners[0].sub])
    receive(db, case("user-changed-number"))
    assert inbox_outcomes(db) == [outcome]
    assert changes_of_numbers(db) == [("Salon 0", "+628111111111", "+628133333333")] * known
    assert value(db, "select count(*) from app.partners where phone = '+628133333333'") == 0


def changes_of_numbers(db: Connection) -> list[tuple[Any, ...]]:
    """Name, old and new number that both admins were notified of."""
    columns = ", ".join(f"variables ->> '{key}'" for key in ("name", "old_number", "new_number"))
    query = f"select {columns}, count(*) from app.messages where template = 'number_changed'"
    rows = db.execute(f"{query} group by 1, 2, 3".encode()).fetchall()
    assert all(row[3] == 2 for row in rows)
    return [row[:3] for row in rows]


@pytest.mark.regression("tawn33y/whatsapp-cloud-api#120")
@pytest.mark.parametrize(
    ("system", "new"),
    [
        ({"wa_id": "6581234567"}, "+6581234567"),
        ({"new_wa_id": "628133333333"}, "+628133333333"),
        ({"wa_id": "081"}, None),
        ({"wa_id": "x"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_changed_number_of_a_subdist_is_reported_in_every_form(
    db: Connection, context: Context, system: dict[str, Any], new: str | None
) -> None:
    body = case("user-changed-number")
    [message] = body["entry"][0]["changes"][0]["value"]["messages"]
    message["from"], name = db.execute(
        "select substr(whatsapp_number, 2), business_name from app.sub_distributors where id = %s",
        [context.subdists[0].sub],
    ).fetchone() or ("", "")
    message["system"] = {"type": "user_changed_number", "body": "x"} | system
    receive(db, body)
    assert changes_of_numbers(db) == [(name, f"+{message['from']}", new)]
    unchanged = "select count(*) from app.sub_distributors where whatsapp_number = %s"
    assert value(db, unchanged, f"+{message['from']}") == 1


@pytest.mark.regression("whatsapp-business/csharp-rest-api#78")
@pytest.mark.parametrize(
    ("element", "text"),
    [
        ({"type": "image", "image": {"caption": "Bukti transfer"}}, "[gambar] Bukti transfer"),
        ({"type": "image", "image": {"id": "9"}}, "[gambar]"),
        ({"type": "video", "video": {"caption": "Rusak"}}, "[video] Rusak"),
        (
            {"type": "document", "document": {"filename": "PO.pdf", "caption": "PO November"}},
            "[dokumen] PO.pdf PO November",
        ),
        ({"type": "audio", "audio": {"voice": True}}, "[pesan suara]"),
        ({"type": "sticker", "sticker": {}}, "[stiker]"),
        (
            {"type": "location", "location": {"latitude": -6.9, "longitude": 107.6, "name": "Toko"}},
            "[lokasi] Toko (-6.9, 107.6)",
        ),
        (
            {
                "type": "contacts",
                "contacts": [{"name": {"formatted_name": "Budi"}, "phones": [{"phone": "+62811"}]}],
            },
            "[kontak] Budi +62811",
        ),
        (
            {
                "type": "order",
                "order": {"text": "Segera", "product_items": [{"product_retailer_id": "A-1", "quantity": 2}]},
            },
            "[pesanan katalog] Segera 2 x A-1",
        ),
        ({"type": "button", "button": {"payload": "STOP", "text": "Berhenti"}}, "Berhenti"),
        ({"type": "button", "button": {"payload": "STOP"}}, "STOP"),
        (
            {
                "type": "interactive",
                "interactive": {"button_reply": {"id": "mau", "title": "Mau"}},
            },
            "Mau",
        ),
        (
            {
                "type": "interactive",
                "interactive": {"list_reply": {"id": "r1", "title": "Stok kosong", "description": "besok"}},
            },
            "Stok kosong: besok",
        ),
        (
            {"type": "interactive", "interactive": {"nfm_reply": {"response_json": '{"alasan":"habis"}'}}},
            '{"alasan":"habis"}',
        ),
        ({"type": "edit", "edit": {"message": {"text": {"body": "Dua dus"}}}}, "[diubah] Dua dus"),
        ({"type": "unsupported"}, "[unsupported]"),
        ({"type": "hologram", "hologram": {}}, "[hologram]"),
        ({}, "[?]"),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_every_type_of_message_is_forwarded_as_text(
    db: Connection, context: Context, element: dict[str, Any], text: str
) -> None:
    receive(db, message_of(element))
    assert (inbox_outcomes(db), texts(db)) == (["forwarded"], {text})


@pytest.mark.parametrize(
    ("element", "outcome"),
    [
        ({"type": "reaction", "reaction": {"message_id": "w", "emoji": "👍"}}, "reaction"),
        ({"type": "revoke", "revoke": {}}, "revoke"),
        ({"type": "deleted"}, "deleted"),
        ({"type": "system", "system": {"type": "customer_identity_changed"}}, "system"),
        ({"type": "text", "text": {"body": "  "}}, "empty"),
    ],
)
def test_what_needs_no_answer_is_recorded_only(
    db: Connection, context: Context, element: dict[str, Any], outcome: str
) -> None:
    receive(db, message_of(element))
    assert (inbox_outcomes(db), texts(db)) == ([outcome], set())


@pytest.mark.regression("dubizzle/courier PR 1073")
@pytest.mark.parametrize(
    ("interactive", "text"),
    [
        ({"list_reply": {"id": "r2", "title": "Kirim besok"}}, "Kirim besok"),
        ({"list_reply": {"id": "r2", "title": "{{name}}", "description": "dua dus"}}, "{{name}}: dua dus"),
        ({"list_reply": {"id": "r2"}}, "r2"),
        (
            {"nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{"n": [1, {}]}'}},
            '{"n": [1, {}]}',
        ),
        ({"nfm_reply": {"name": "flow", "body": "Sent"}}, "Sent"),
        ({"button_reply": {"id": "mau"}}, "mau"),
        ({"type": "carousel", "carousel": {}}, "[carousel]"),
        ({}, "[interactive]"),
    ],
    ids=str,
)
def test_list_and_flow_replies_are_forwarded(
    db: Connection, context: Context, interactive: dict[str, Any], text: str
) -> None:
    receive(db, message_of({"type": "interactive", "interactive": interactive}))
    assert texts(db) == {text}


@pytest.mark.regression("whatsapp-business/csharp-rest-api#78", "dubizzle/courier PR 1073")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image-caption", "[gambar] Bukti transfer Rp1.250.000 INV-261123-000042"),
        ("list-reply", "Stok kosong"),
        ("nfm-reply", '{"alasan":"stok habis"}'),
    ],
)
def test_recorded_message_is_forwarded(db: Connection, context: Context, name: str, text: str) -> None:
    receive(db, case(name))
    assert texts(db) == {text}


@pytest.mark.regression("adeekshith/watomatic#15")
@pytest.mark.parametrize(
    "element",
    [
        {"type": "text", "text": {"body": "Terima kasih, kami akan segera membalas."}},
        {"type": "text", "text": {"body": "Auto reply: sedang libur sampai 2 Januari"}},
        {"type": "text", "text": {"body": "[Pesan otomatis] {{name}}"}},
        {"type": "image", "image": {"caption": "Jam buka kami"}},
        {"type": "button", "button": {"payload": "STOP", "text": "Berhenti"}},
        {"type": "contacts", "contacts": [{"name": {"formatted_name": "Admin"}, "phones": []}]},
    ],
    ids=lambda element: element["type"],
)
def test_text_of_staff_is_not_sent_back_to_them(
    db: Connection, context: Context, element: dict[str, Any]
) -> None:
    number, name = db.execute(
        "select substr(phone, 2), full_name from app.agents where id = %s", [context.admin.sub]
    ).fetchone() or ("", "")
    receive(db, message_of(element | {"from": number}))
    rows = db.execute("select recipient_id, variables ->> 'sender' from app.messages").fetchall()
    assert [(str(row[0]), row[1].split(" (")[0]) for row in rows] == [(str(context.admin2.sub), name)]


def test_text_of_an_agent_who_has_left_is_that_of_a_stranger(db: Connection, context: Context) -> None:
    number = value(
        db,
        "update app.agents set is_active = false where id = %s returning substr(phone, 2)",
        context.agents[0].sub,
    )
    receive(db, webhook(text_message("Halo", number)))
    assert {sender for _, sender in forwarded_texts(db)} == {f"(+{number})"}


def test_number_of_a_subdist_and_a_partner_names_the_subdist(db: Connection, context: Context) -> None:
    number, name = db.execute(
        "select whatsapp_number, business_name from app.sub_distributors where id = %s",
        [context.subdists[0].sub],
    ).fetchone() or ("", "")
    db.execute("update app.partners set phone = %s where id = %s", [number, context.partners[0].sub])
    receive(db, webhook(text_message("Halo", number.removeprefix("+"))))
    assert {sender for _, sender in forwarded_texts(db)} == {f"{name} ({number})"}


@pytest.mark.parametrize(
    ("admins", "status", "outcome"), [(0, "HELD", "forwarded"), (1, None, "no one else")]
)
def test_text_of_staff_is_held_while_no_admin_is_active(
    db: Connection, context: Context, admins: int, status: str | None, outcome: str
) -> None:
    writer = context.admin if admins else context.agents[0]
    db.execute("update app.agents set is_active = false where role = 'ADMIN' and id <> %s", [writer.sub])
    number = value(db, "select substr(phone, 2) from app.agents where id = %s", writer.sub)
    receive(db, webhook(text_message("Tolong cek", number)))
    assert [o.startswith(outcome) for o in inbox_outcomes(db)] == [True]
    found = db.execute("select status from app.messages where template = 'inbound_text'").fetchall()
    assert [row[0] for row in found] == ([status] if status else [])


def test_repeated_text_is_forwarded_once_within_an_hour(db: Connection, context: Context) -> None:
    for n in range(3):
        receive(db, webhook(text_message("Kami tutup.", "628130000000", f"wamid.{n}")))
    assert inbox_outcomes(db) == ["forwarded", "repeated", "repeated"]
    db.execute("update app.conversations set hour_began_at = hour_began_at - interval '1 hour'")
    receive(db, webhook(text_message("Kami tutup.", "628130000000", "wamid.9")))
    assert inbox_outcomes(db).count("forwarded") == 2


@pytest.mark.parametrize(("sender", "forwarded"), [("14155550100", 5), ("628130000000", 50)])
def test_flood_of_a_stranger_is_limited(
    db: Connection, context: Context, sender: str, forwarded: int
) -> None:
    flood = [text_message(f"promo {n}", sender, f"wamid.{n}") for n in range(50)]
    receive(db, webhook(*flood))
    assert len(texts(db)) == forwarded
    assert inbox_outcomes(db).count("too many") == 50 - forwarded


@pytest.mark.regression("glific/glific#1777")
@pytest.mark.parametrize(
    ("field", "value_of", "words"),
    [
        ("template-paused", None, "message_template_status_update PAUSED order_routed"),
        ("template-recategorised", None, "template_category_update MARKETING order_routed"),
        ("account_update", {"event": "ACCOUNT_RESTRICTION"}, "account_update ACCOUNT_RESTRICTION"),
        ("account_update", {"event": "DISABLED_UPDATE"}, "account_update DISABLED_UPDATE"),
        (
            "message_template_quality_update",
            {"new_quality_score": "RED", "message_template_name": "order_routed"},
            "message_template_quality_update RED order_routed",
        ),
        (
            "phone_number_quality_update",
            {"event": "FLAGGED", "current_limit": "TIER_1K"},
            "phone_number_quality_update FLAGGED TIER_1K",
        ),
        ("message_template_status_update", {"event": "APPROVED"}, None),
        ("message_template_quality_update", {"new_quality_score": "GREEN"}, None),
        ("history", {"event": "x"}, None),
    ],
)
def test_fault_of_template_or_account_notifies_headquarters_once(
    db: Connection, context: Context, field: str, value_of: dict[str, Any] | None, words: str | None
) -> None:
    body = (
        {"entry": [{"time": 1795730400, "changes": [{"field": field, "value": value_of}]}]}
        if value_of
        else case(field)
    )
    for repeat in range(3):
        receive(db, body | {"batch": repeat})
    rows = db.execute("select channel, variables ->> 'event' from app.messages").fetchall()
    assert {row for row in rows if row[1]} == ({("EMAIL", words)} if words else set())
    assert len(rows) == (2 if words else 0)
    assert len(inbox_outcomes(db)) == 1


def test_statuses_of_a_batch_are_applied_to_their_messages(db: Connection, context: Context) -> None:
    one, two = enqueue(db, context.partners[0].sub), enqueue(db, context.partners[1].sub)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.1')", [one])
    batch = {
        "entry": [
            {
                "changes": [
                    {
                        "value": {
                            "statuses": [status_update("wamid.1", "read"), status_update("wamid.1", "sent")]
                        }
                    }
                ]
            },
            {
                "changes": [
                    {"value": {}},
                    {"value": {"statuses": [status_update("wamid.2", "delivered", two)]}},
                ]
            },
        ]
    }
    receive(db, batch)
    assert (message_state(db, one).status, message_state(db, two).status) == ("READ", "DELIVERED")
    at = value(db, "select extract(epoch from delivered_at)::int from app.messages where id = %s", one)
    assert at == 1763884800


def test_failed_status_stores_its_error_code(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    receive(db, webhook(status_update("wamid.1", "failed", errors=[{"code": 131026}]), kind="statuses"))
    assert (message_state(db, message).status, message_state(db, message).error_code) == ("FAILED", "131026")
    assert mail_count(db) == 1


def test_unknown_id_of_a_batch_does_not_fail_the_others(db: Connection, context: Context) -> None:
    message = enqueue(db, context.partners[0].sub)
    claim(db)
    statuses = [status_update("wamid.unknown", "read"), status_update("wamid.1", "sent", message)]
    receive(db, webhook(*statuses, kind="statuses"))
    assert message_state(db, message).status == "SENT"


MALFORMED: list[Any] = [
    {},
    {"entry": None},
    {"entry": "x"},
    {"entry": [1, None, [], {"changes": None}, {"changes": [{"value": None}, {"value": []}, {}]}]},
    {"entry": {"changes": {"value": {"messages": {"id": "w", "type": 7, "from": {}}}}}},
    webhook(
        text_message(None),
        text_message({}, 5, "b"),
        text_message([], None, "c"),
        {"id": None},
        {},
        {"type": "text"},
    ),
    webhook(text_message("x" * 100_000, "+" * 300, "k" * 5000)),
    webhook({"id": {"a": 1}, "type": {"b": 2}, "button": [1], "from": ["x"]}),
    webhook(tap({"x": 1}, None), kind="messages"),  # type: ignore[arg-type]
    webhook(
        {},
        {"id": 1},
        status_update("", "read"),
        status_update("w", "exploded"),
        {"status": {}},
        kind="statuses",
    ),
    webhook(status_update("x" * 300, "read"), status_update("w", "read", "not a uuid"), kind="statuses"),
    webhook(
        status_update("w", "read", timestamp="9" * 40),
        status_update("w", "read", timestamp={}),
        kind="statuses",
    ),
    {"entry": [{"changes": [{"value": {"statuses": "read", "messages": [[[[]]]]}}]}]},
]


@pytest.mark.parametrize("payload", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_webhook_is_processed_without_effect(
    db: Connection, routed_order: Order, payload: Any
) -> None:
    assert receive(db, payload) == 1
    assert value(db, "select count(*) from app.inbound_messages where processed_at is null") == 0
    assert status_of(db, routed_order) == "SUBMITTED"


def test_failing_element_is_recorded_and_does_not_block_others(db: Connection, routed_order: Order) -> None:
    message = enqueue(db, routed_subdist(db, routed_order).sub, "order_status", "SUBDIST")
    payload, sender = button_payload(db), subdist_number(db, routed_order)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    bad = status_update("wamid.1", "failed", errors=[{"code": "x" * 2000}])
    both = webhook(value_of={"statuses": [bad], "messages": [tap(payload, sender)]})
    receive(db, both)
    found = inbox_outcomes(db)
    assert "ACCEPT" in found
    assert [line for line in found if line.startswith("failed: ")]


def test_webhook_that_is_not_an_object_is_refused(db: Connection) -> None:
    payloads: list[Any] = [[], "x", 1, None]
    for payload in payloads:
        with pytest.raises(Exception, match="INVALID_ARGUMENT"), db.transaction():
            db.execute("select app.inbound_message(%s)", [Jsonb(payload)])


def test_foreign_number_does_not_match_a_local_one(db: Connection, context: Context) -> None:
    """WhatsApp sends numbers with the country code and without a plus: 81 is Japan."""
    db.execute("update app.partners set phone = '+62819012345678' where id = %s", [context.partners[0].sub])
    receive(db, webhook(text_message("Halo", sender="819012345678") | {"timestamp": "1763884800"}))
    [sender] = db.execute(
        "select distinct variables ->> 'sender' from app.messages where template = 'inbound_text'"
    ).fetchall()
    assert "Salon" not in sender[0]
    assert value(db, "select number from app.conversations") == "+819012345678"


def sent_message(db: Connection, context: Context) -> str:
    """A message that was sent as wamid.1."""
    message = enqueue(db, context.partners[0].sub)
    assert claim(db) == [message]
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    return message


@pytest.mark.regression("david-lev/pywa#229")
def test_every_element_of_a_batch_is_processed(db: Connection, context: Context) -> None:
    """Only the first entry, change and message of a webhook were processed."""
    messages = [enqueue(db, who.sub) for who in context.partners]
    assert sorted(claim(db)) == sorted(messages)
    one, two, three = messages
    statuses = [
        status_update("w1", "sent", one),
        status_update("w2", "delivered", two),
        status_update("w3", "read", three),
    ]
    texts = [
        {"id": f"t{n}", "from": "62811", "type": "text", "text": {"body": f"Halo {n}"}} for n in range(3)
    ]
    receive(
        db,
        {
            "entry": [
                {"changes": [{"value": {"statuses": statuses[:1], "messages": texts[:2]}}]},
                {"changes": [{"value": {"messages": texts[2:]}}, {"value": {"statuses": statuses[1:]}}]},
            ]
        },
    )
    assert [message_state(db, m).status for m in messages] == ["SENT", "DELIVERED", "READ"]
    assert inbox_outcomes(db).count("forwarded") == 3


@pytest.mark.regression("shridarpatil/frappe_whatsapp#252")
def test_unknown_status_id_does_not_fail_the_webhook(db: Connection, context: Context) -> None:
    """One unknown id failed all other statuses of the POST."""
    message = sent_message(db, context)
    statuses = [
        status_update("wamid.unknown", "read"),
        status_update("wamid.1", "read"),
        status_update("", "sent"),
    ]
    assert receive(db, webhook(*statuses, kind="statuses")) == 1
    assert message_state(db, message).status == "READ"


@pytest.mark.regression("chatwoot/chatwoot#14529")
def test_late_status_does_not_downgrade_a_delivered_message(db: Connection, context: Context) -> None:
    """A late `sent` replaced `delivered`."""
    message = sent_message(db, context)
    for late in ("delivered", "sent"):
        receive(db, webhook(status_update("wamid.1", late), kind="statuses"))
        assert message_state(db, message).status == "DELIVERED"


@pytest.mark.regression("chatwoot/chatwoot#14149")
def test_late_status_does_not_revive_a_failed_message(db: Connection, context: Context) -> None:
    """A late callback revived a failed message, whose e-mail has already been sent."""
    message = sent_message(db, context)
    for late in ("failed", "sent", "delivered"):
        receive(db, webhook(status_update("wamid.1", late), kind="statuses"))
        assert message_state(db, message).status == "FAILED"
    assert mail_count(db) == 1


def test_conversation_is_purged_when_its_free_form_window_is_closed(db: Connection) -> None:
    db.execute(
        "insert into app.conversations values ('+62811', now() - interval '3 days'), ('+62812', now())"
    )
    assert value(db, "select auth.purge_sign_ins(100)") == 1
    assert value(db, "select string_agg(number, ',') from app.conversations") == "+62812"
