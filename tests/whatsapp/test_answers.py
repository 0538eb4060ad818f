"""Each answer of a provider has the outcome that the table of docs/whatsapp/contract.md states."""

import asyncio
import re
from collections.abc import Iterator

import httpx
import pytest

from adapters.whatsapp.breaker import BACK_OFF, REFUSED
from adapters.whatsapp.delivery import Delivery, DeliveryError, UnknownOutcomeError
from adapters.whatsapp.mail import MailDelivery
from adapters.whatsapp.messages import Message
from adapters.whatsapp.meta import MetaDelivery
from adapters.whatsapp.settings import Settings
from hub import paths
from tests.support.test_cluster import JWT_SECRET
from tests.whatsapp.test_delivery import message
from tests.whatsapp.test_mail import FakeSmtpServer, running_server

CREDENTIALS = {
    "whatsapp_token": "t",
    "whatsapp_phone_number_id": "1",
    "whatsapp_app_secret": "s",
    "whatsapp_verify_token": "v",
}
CHANNEL = {None: "runs", BACK_OFF: "rests 2 to 120 s", REFUSED: "rests 60 s"}


def rows() -> list[tuple[str, str, str]]:
    """Answer, consequence for the message and for the channel, of each answer in the table."""
    page = (paths.root() / "docs" / "whatsapp" / "contract.md").read_text()
    table = page.split("<!-- answers -->")[1].split("\n- **")[0]
    found = []
    for line in table.strip().splitlines()[2:]:
        answers, of_message, of_channel = (cell.strip() for cell in line.strip("|").split("|"))
        found += [
            (each, of_message, of_channel)
            for each in re.findall(r"`([A-Za-z]+(?: [^`]+)?)`", answers)
            if each != "is_transient"
        ]
    return found


ROWS = rows()


def named(*kinds: str) -> list[tuple[str, str, str]]:
    return [row for row in ROWS if row[0].split()[0] in kinds]


def outcome(delivery: Delivery, sent: Message) -> tuple[str, str]:
    """What the failed delivery means, in the words of the table."""
    try:
        asyncio.run(_deliver(delivery, sent))
    except UnknownOutcomeError as error:
        return "unknown", CHANNEL[error.pause]
    except DeliveryError as error:
        of_message = ("tried again" if error.retry else "given up") if error.tried else "given back"
        return of_message, CHANNEL[error.pause]
    raise AssertionError("it was delivered")


async def _deliver(delivery: Delivery, sent: Message) -> None:
    await delivery.deliver(sent)


def meta(answer: str) -> MetaDelivery:
    """A delivery to a Meta that answers as a row of the table states."""

    def handle(request: httpx.Request) -> httpx.Response:
        kind, *rest = answer.split()
        if kind == "HTTP":
            return httpx.Response(int(rest[0]), html="<html>proxy</html>")
        if kind == "error":
            error = {"code": int(rest[0]), "message": "no", "is_transient": "transient" in rest}
            return httpx.Response(400, json={"error": error | {"type": "OAuthException"}})
        raise getattr(httpx, kind)("no", request=request)

    settings = Settings.model_validate({"jwt_secret": JWT_SECRET, **CREDENTIALS})
    return MetaDelivery(settings, transport=httpx.MockTransport(handle))


def test_table_has_answers_of_every_kind() -> None:
    kinds = {answer.split()[0] for answer, _, _ in ROWS}
    assert kinds >= {"error", "HTTP", "ConnectTimeout", "PoolTimeout", "ReadTimeout", "MAIL", "RCPT", "DATA"}
    assert len(ROWS) == len({answer for answer, _, _ in ROWS})


@pytest.mark.parametrize(
    ("answer", "of_message", "of_channel"), [row for row in ROWS if row not in named("MAIL", "RCPT", "DATA")]
)
def test_answer_over_whatsapp(answer: str, of_message: str, of_channel: str) -> None:
    assert outcome(meta(answer), message()) == (of_message, of_channel)


@pytest.mark.parametrize(
    "body", [{"error": "no"}, {"error": {"message": "no"}}, {"error": {"code": "x"}}, []]
)
def test_json_without_metas_error_object_is_an_answer_of_a_proxy(body: object) -> None:
    settings = Settings.model_validate({"jwt_secret": JWT_SECRET, **CREDENTIALS})
    transport = httpx.MockTransport(lambda request: httpx.Response(403, json=body))
    assert outcome(MetaDelivery(settings, transport=transport), message())[0] == "given back"


@pytest.fixture(scope="module")
def smtp() -> Iterator[FakeSmtpServer]:
    with running_server() as server:
        yield server


@pytest.mark.parametrize(("answer", "of_message", "of_channel"), named("MAIL", "RCPT", "DATA"))
def test_answer_over_smtp(smtp: FakeSmtpServer, answer: str, of_message: str, of_channel: str) -> None:
    command, reply = answer.split(" ", 1)
    smtp.mail_answer = smtp.rcpt_answer = smtp.data_answer = ""
    setattr(smtp, f"{command.lower()}_answer", f"{reply} no")
    settings = Settings.model_validate(
        {
            "jwt_secret": JWT_SECRET,
            "smtp_host": "127.0.0.1",
            "smtp_port": smtp.port,
            "smtp_security": "none",
        }
    )
    mail = message("salon@hub.test", channel="EMAIL")
    assert outcome(MailDelivery(settings), mail) == (of_message, of_channel)
    assert smtp.mails == []
