"""E-mail over a real SMTP server: sign-in, TLS, refusals for now and for good, names that are no headers."""

import asyncio
import email
import smtplib
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from adapters.whatsapp.delivery import DeliveryError, UnknownOutcomeError
from adapters.whatsapp.mail import MailDelivery
from adapters.whatsapp.messages import Message
from adapters.whatsapp.settings import Settings
from tests.support.test_cluster import JWT_SECRET, free_port

PASSWORD = 'rahasia ; "%'


@dataclass
class PostOffice:
    """The server's handler: keeps what comes, refuses on demand."""

    port: int = 0
    at_rcpt: str = ""
    at_data: str = ""
    hang_up: bool = False
    mails: list[EmailMessage] = field(default_factory=list)
    readers: list[list[str]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.at_rcpt:
            return self.at_rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.at_data:
            return self.at_data
        parsed = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        self.readers.append(envelope.rcpt_tos)
        if self.hang_up:
            server.transport.abort()
        return "250 OK"


@contextmanager
def open_office(**options: Any) -> Iterator[PostOffice]:
    office = PostOffice(port=free_port(27000))
    controller = Controller(office, hostname="127.0.0.1", port=office.port, **options)
    controller.start()
    try:
        yield office
    finally:
        controller.stop()


@pytest.fixture
def office() -> Iterator[PostOffice]:
    """In plain, for everybody."""
    with open_office() as opened:
        yield opened


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, in one file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    made = file.with_suffix(".crt")
    wanted = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", *wanted.split(), "-keyout", str(file), "-out", str(made)],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + made.read_text())
    return file


@pytest.fixture
def secured(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostOffice]:
    """STARTTLS and AUTH, with a certificate that is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def knows(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"hub", PASSWORD.encode()), handled=False)

    with open_office(
        tls_context=context, require_starttls=True, auth_required=True, authenticator=knows
    ) as opened:
        yield opened


def post(
    office: PostOffice | int, *, security: str = "none", user: str = "", password: str = "", **more: Any
) -> str:
    """What became of a mail."""
    told = Settings.model_validate(
        {
            "jwt_secret": JWT_SECRET,
            "smtp_host": "127.0.0.1",
            "smtp_port": office if isinstance(office, int) else office.port,
            "smtp_security": security,
            "smtp_user": user,
            "smtp_password": password,
        }
    )
    fields: dict[str, Any] = {
        "id": uuid.UUID(int=7),
        "template": "order_status",
        "channel": "EMAIL",
        "recipient_type": "PARTNER",
        "recipient_name": "Salon Melati",
        "recipient": "salon@hub.test",
        "body": "Kabar pesanan ORD-1: kini selesai … terima kasih.",
        "variables": {"order_number": "ORD-1"},
        "order_id": None,
        "attempts": 1,
    }
    try:
        return asyncio.run(MailDelivery(told).deliver(Message(**(fields | more))))
    except DeliveryError as error:
        return f"{error.code} {'again' if error.retry else 'never'}"
    except UnknownOutcomeError:
        return "unknown"


def test_a_mail_arrives_as_it_was_written(office: PostOffice) -> None:
    assert (
        post(office, recipient_name="Salón “Melati” … Bogor, 美") == f"<{uuid.UUID(int=7)}@hub.alfabeauty>-1"
    )
    [mail] = office.mails
    assert office.readers == [["salon@hub.test"]]
    [reader] = mail["To"].addresses
    assert (reader.display_name, reader.addr_spec) == ("Salón “Melati” … Bogor, 美", "salon@hub.test")
    assert mail["Subject"] == "Kabar pesanan ORD-1"
    assert mail["Message-ID"] == f"<{uuid.UUID(int=7)}@hub.alfabeauty>"
    assert mail.get_content().strip() == "Kabar pesanan ORD-1: kini selesai … terima kasih."


def test_unicode_in_the_subject_survives(office: PostOffice) -> None:
    post(office, variables={"order_number": "№ 1 … é"})
    assert office.mails[0]["Subject"] == "Kabar pesanan № 1 … é"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\u2028", "\x0b"])
def test_a_name_does_not_become_a_header(office: PostOffice, newline: str) -> None:
    post(
        office,
        recipient_name=f"Salon{newline}Bcc: thief@hub.test",
        variables={"order_number": f"ORD{newline}Bcc: thief@hub.test"},
        body=f"Halo{newline}Bcc: thief@hub.test",
    )
    [mail] = office.mails
    assert mail["Bcc"] is None
    assert office.readers == [["salon@hub.test"]]


@pytest.mark.parametrize(
    "address",
    [
        "salon",
        "a@b.test, c@d.test",
        "a@b.test\nBcc: c@d.test",
        "a@b.test\r\n",
        "<a@b.test>",
        "",
        None,
        "a b@c.test",
        "@",
    ],
)
def test_what_is_no_address_is_refused_before_it_is_sent(office: PostOffice, address: str | None) -> None:
    assert post(office, recipient=address).endswith("address never")
    assert office.mails == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("450 later", "SMTP 450 again"), ("421 busy", "SMTP 421 again"), ("550 nobody", "SMTP 550 never")],
)
def test_refused_for_now_is_tried_again_and_for_good_is_not(
    office: PostOffice, answer: str, expected: str
) -> None:
    office.at_rcpt = answer
    assert post(office) == expected
    office.at_rcpt, office.at_data = "", answer
    assert post(office) == expected
    assert office.mails == []


def test_a_connection_cut_after_the_mail_is_unknown(office: PostOffice) -> None:
    office.hang_up = True
    assert post(office) == "unknown"
    assert len(office.mails) == 1


def test_nobody_listening_is_tried_again() -> None:
    assert post(1) == "SMTP SMTPConnectError again"


def test_signed_in_over_starttls(secured: PostOffice) -> None:
    assert post(secured, security="starttls", user="hub", password=PASSWORD).startswith("<")
    assert len(secured.mails) == 1


def test_a_wrong_password_is_tried_again_when_it_may_have_been_put_right(secured: PostOffice) -> None:
    told = post(secured, security="starttls", user="hub", password="wrong")
    assert told == "SMTP SMTPAuthenticationError 535 again"
    assert secured.mails == []


def test_a_server_that_wants_tls_gets_no_mail_in_plain(secured: PostOffice) -> None:
    assert post(secured, security="none") == "SMTP 530 never"


def test_without_the_tls_that_was_asked_for_nothing_is_sent(office: PostOffice) -> None:
    assert post(office, security="starttls") == "SMTP SMTPException again"
    assert office.mails == []


def test_a_certificate_that_nobody_vouches_for_is_not_believed(
    secured: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    told = post(secured, security="starttls", user="hub", password=PASSWORD)
    assert told.endswith(" again")
    assert secured.mails == []


def test_the_server_of_these_tests_is_one(office: PostOffice) -> None:
    with smtplib.SMTP("127.0.0.1", office.port) as client:
        assert client.noop()[0] == 250
