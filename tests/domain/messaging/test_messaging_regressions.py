"""Messages over WhatsApp: what went wrong in other systems."""

import json
from typing import Any

import pytest

from adapters.whatsapp.signature import is_genuine
from tests.domain.messaging.conftest import claim, lapse, outcomes, owe, receive, state, wait_out, webhook
from tests.support.context import Connection, Context, make_context, value
from tests.whatsapp.fake_meta import APP_SECRET, signed


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def _sent(db: Connection, context: Context) -> str:
    """A message that the provider took as wamid.1."""
    message = owe(db, context.partners[0].sub)
    assert claim(db) == [message]
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    return message


def _status(key: str, what: str, ours: str | None = None) -> dict[str, Any]:
    told = {"id": key, "status": what, "timestamp": "1763884800", "recipient_id": "62"}
    return told | ({"biz_opaque_callback_data": ours} if ours else {})


def test_every_update_of_a_batch_is_handled(db: Connection, context: Context) -> None:
    """Only the first of each level was: david-lev/pywa#229."""
    waiting = [owe(db, who.sub) for who in context.partners]
    assert sorted(claim(db)) == sorted(waiting)
    one, two, three = waiting
    said = [_status("w1", "sent", one), _status("w2", "delivered", two), _status("w3", "read", three)]
    texts = [{"id": f"t{n}", "from": "62811", "type": "text", "text": {"body": "Halo"}} for n in range(3)]
    receive(
        db,
        {
            "entry": [
                {"changes": [{"value": {"statuses": said[:1], "messages": texts[:2]}}]},
                {"changes": [{"value": {"messages": texts[2:]}}, {"value": {"statuses": said[1:]}}]},
            ]
        },
    )
    assert [state(db, m).status for m in waiting] == ["SENT", "DELIVERED", "READ"]
    assert outcomes(db).count("forwarded") == 3


def test_an_id_that_nobody_knows_does_not_fail_the_whole_post(db: Connection, context: Context) -> None:
    """One unknown id failed all others of the POST: frappe_whatsapp PR 252."""
    message = _sent(db, context)
    said = [_status("wamid.nobody", "read"), _status("wamid.1", "read"), _status("", "sent")]
    assert receive(db, webhook(*said, kind="statuses")) == 1
    assert state(db, message).status == "READ"


def test_a_late_word_does_not_downgrade_what_was_delivered(db: Connection, context: Context) -> None:
    """A late `sent` made `delivered` undone: chatwoot/chatwoot#14529."""
    message = _sent(db, context)
    for late in ("delivered", "sent"):
        receive(db, webhook(_status("wamid.1", late), kind="statuses"))
        assert state(db, message).status == "DELIVERED"


def test_a_late_word_does_not_revive_what_failed(db: Connection, context: Context) -> None:
    """A callback that came late revived `failed`: chatwoot/chatwoot PR 14149. Its e-mail is out already."""
    message = _sent(db, context)
    for late in ("failed", "sent", "delivered"):
        receive(db, webhook(_status("wamid.1", late), kind="statuses"))
        assert state(db, message).status == "FAILED"
    assert value(db, "select count(*) from app.messages where channel = 'EMAIL'") == 1


def test_a_lost_answer_is_no_reason_to_send_twice(db: Connection, context: Context) -> None:
    """The answer was lost, the retry sent it again: apache/camel#4280. What is unknown waits for word."""
    message = owe(db, context.partners[0].sub)
    assert claim(db) == [message]
    lapse(db)
    assert claim(db) == []
    assert state(db, message).status == "UNKNOWN"
    receive(db, webhook(_status("wamid.1", "sent", message), kind="statuses"))
    wait_out(db, 10_000)
    assert claim(db) == []
    assert (state(db, message).status, state(db, message).repeats) == ("SENT", 0)


@pytest.mark.parametrize("header", ["", "sha256=", "sha1=0", "0" * 64])
def test_a_post_without_a_signature_does_not_pass_for_signed(header: str) -> None:
    """Where the header was missing, the check was skipped."""
    assert not is_genuine(APP_SECRET, b"{}", header)


@pytest.mark.parametrize(
    "body",
    [
        b'{"entry":[],"text":"salon \xc3\xa9 / \\u00e9 \\/ 1.0 1e2"}',
        b'{\n   "entry" : [ ] ,\t"b":1,"a":2 }\r\n',
        b'{"a":1,"a":2,"n":1.10}',
    ],
    ids=["escapes", "spaces", "doubles"],
)
def test_the_signature_is_of_the_bytes_that_came(body: bytes) -> None:
    """It was checked against JSON that had been read and written anew: tawn33y/whatsapp-cloud-api#60."""
    header = signed(body)["X-Hub-Signature-256"]
    assert is_genuine(APP_SECRET, body, header)
    assert not is_genuine(APP_SECRET, json.dumps(json.loads(body)).encode(), header)
