"""E-mail over a real SMTP server: login, TLS, temporary and permanent refusals, header injection."""

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
from adapters.whatsapp.mail import SUBJECTS, MailDelivery
from adapters.whatsapp.messages import Message
from adapters.whatsapp.settings import Settings
from tests.support.context import Connection
from tests.support.test_cluster import JWT_SECRET, free_port

PASSWORD = 'rahasia ; "%'


@dataclass
class FakeSmtpServer:
    """The handler of the SMTP server: keeps e-mails, or refuses them on demand."""

    port: int = 0
    mail_answer: str = ""
    """Refusal of the sender."""
    rcpt_answer: str = ""
    """Refusal of every recipient."""
    data_answer: str = ""
    """Refusal of every e-mail."""
    hang_up: bool = False
    """Whether the connection is cut after an e-mail was accepted."""
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.mail_answer:
            return self.mail_answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.rcpt_answer:
            return self.rcpt_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data_answer:
            return self.data_answer
        parsed = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        self.recipients.append(envelope.rcpt_tos)
        if self.hang_up:
            server.transport.abort()
        return "250 OK"


@contextmanager
def running_server(server: FakeSmtpServer | None = None, **options: Any) -> Iterator[FakeSmtpServer]:
    server = server or FakeSmtpServer(port=free_port(27000))
    controller = Controller(server, hostname="127.0.0.1", port=server.port, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@pytest.fixture
def server() -> Iterator[FakeSmtpServer]:
    """A server without TLS and login."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with the key and the certificate of 127.0.0.1."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    certificate = file.with_suffix(".crt")
    options = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", *options.split(), "-keyout", str(file), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + certificate.read_text())
    return file


@pytest.fixture
def secured(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSmtpServer]:
    """A server that requires STARTTLS and a login; its certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"hub", PASSWORD.encode()), handled=False)

    with running_server(
        tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate
    ) as server:
        yield server


def send(
    server: FakeSmtpServer | int, *, security: str = "none", user: str = "", password: str = "", **more: Any
) -> str:
    """Deliver an e-mail; returns its id, `<code> again`, `<code> never` or `unknown`."""
    settings = Settings.model_validate(
        {
            "jwt_secret": JWT_SECRET,
            "smtp_host": "127.0.0.1",
            "smtp_port": server if isinstance(server, int) else server.port,
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
        return asyncio.run(MailDelivery(settings).deliver(Message(**(fields | more))))
    except DeliveryError as error:
        return f"{error.code} {'again' if error.retry else 'never'}"
    except UnknownOutcomeError:
        return "unknown"


def test_mail_arrives_with_recipient_subject_id_and_text(server: FakeSmtpServer) -> None:
    assert (
        send(server, recipient_name="Salón “Melati” … Bogor, 美") == f"<{uuid.UUID(int=7)}@hub.alfabeauty>-1"
    )
    [mail] = server.mails
    assert server.recipients == [["salon@hub.test"]]
    [recipient] = mail["To"].addresses
    assert (recipient.display_name, recipient.addr_spec) == ("Salón “Melati” … Bogor, 美", "salon@hub.test")
    assert mail["Subject"] == "Kabar pesanan ORD-1"
    assert mail["Message-ID"] == f"<{uuid.UUID(int=7)}@hub.alfabeauty>"
    assert mail.get_content().strip() == "Kabar pesanan ORD-1: kini selesai … terima kasih."


def test_unicode_in_the_subject_is_kept(server: FakeSmtpServer) -> None:
    send(server, variables={"order_number": "№ 1 … é"})
    assert server.mails[0]["Subject"] == "Kabar pesanan № 1 … é"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\u2028", "\x0b"])
def test_newline_in_a_name_adds_no_header(server: FakeSmtpServer, newline: str) -> None:
    send(
        server,
        recipient_name=f"Salon{newline}Bcc: thief@hub.test",
        variables={"order_number": f"ORD{newline}Bcc: thief@hub.test"},
        body=f"Halo{newline}Bcc: thief@hub.test",
    )
    [mail] = server.mails
    assert mail["Bcc"] is None
    assert server.recipients == [["salon@hub.test"]]


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
def test_mail_to_an_invalid_address_is_not_sent(server: FakeSmtpServer, address: str | None) -> None:
    assert send(server, recipient=address).endswith("address never")
    assert server.mails == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("450 later", "SMTP 450 again"), ("421 busy", "SMTP 421 again"), ("550 no such user", "SMTP 550 never")],
)
def test_temporary_refusal_is_retried_and_permanent_refusal_is_not(
    server: FakeSmtpServer, answer: str, expected: str
) -> None:
    server.rcpt_answer = answer
    assert send(server) == expected
    server.rcpt_answer, server.data_answer = "", answer
    assert send(server) == expected
    assert server.mails == []


def test_connection_cut_after_the_mail_leaves_the_outcome_unknown(server: FakeSmtpServer) -> None:
    server.hang_up = True
    assert send(server) == "unknown"
    assert len(server.mails) == 1


def test_mail_is_retried_when_the_server_is_unreachable() -> None:
    assert send(1) == "SMTP SMTPConnectError again"


def test_mail_is_sent_after_login_over_starttls(secured: FakeSmtpServer) -> None:
    assert send(secured, security="starttls", user="hub", password=PASSWORD).startswith("<")
    assert len(secured.mails) == 1


def test_mail_is_retried_after_a_refused_login(secured: FakeSmtpServer) -> None:
    outcome = send(secured, security="starttls", user="hub", password="wrong")
    assert outcome == "SMTP SMTPAuthenticationError 535 again"
    assert secured.mails == []


def test_mail_waits_for_the_settings_when_the_server_requires_tls(secured: FakeSmtpServer) -> None:
    assert send(secured, security="none") == "SMTP 530 again"


def test_nothing_is_sent_when_the_server_lacks_the_required_starttls(server: FakeSmtpServer) -> None:
    assert send(server, security="starttls") == "SMTP SMTPException again"
    assert server.mails == []


def test_nothing_is_sent_to_a_server_with_an_untrusted_certificate(
    secured: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    outcome = send(secured, security="starttls", user="hub", password=PASSWORD)
    assert outcome.endswith(" again")
    assert secured.mails == []


def test_fake_smtp_server_answers_noop(server: FakeSmtpServer) -> None:
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        assert client.noop()[0] == 250


def test_every_template_has_a_subject(db: Connection) -> None:
    assert set(SUBJECTS) == {row[0] for row in db.execute("select template from app.message_templates()")}
