"""Delivery by e-mail over SMTP, the second channel."""

import re
from contextlib import suppress
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage

import aiosmtplib

from adapters.whatsapp.breaker import BACK_OFF, REFUSED
from adapters.whatsapp.delivery import DeliveryError, UnknownOutcomeError
from adapters.whatsapp.messages import Message
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.templates import one_line

SUBJECTS = {
    "order_routed": "Pesanan baru",
    "order_withdrawn": "Pesanan dialihkan",
    "order_unrouted": "Pesanan tanpa sub-distributor",
    "order_over_limit": "Pesanan menunggu keputusan kredit",
    "order_approval_due": "Pesanan menunggu persetujuan",
    "order_delivery_due": "Pesanan siap dikirim",
    "order_placed_for_you": "Pesanan atas nama Anda",
    "order_cancelled_for_you": "Pesanan dibatalkan atas nama Anda",
    "draft_saved_for_you": "Rancangan pesanan atas nama Anda",
    "reward_redeemed_for_you": "Penukaran poin atas nama Anda",
    "order_status": "Kabar pesanan",
    "invoice_issued": "Tagihan",
    "invoice_due_soon": "Tagihan segera jatuh tempo",
    "invoice_overdue": "Tagihan lewat jatuh tempo",
    "invoice_overdue_agent": "Tagihan partner lewat jatuh tempo",
    "payment_received": "Pembayaran diterima",
    "payment_reversed": "Pembayaran dibatalkan",
    "credit_note_issued": "Nota kredit",
    "refund_due": "Periksa pengembalian dana",
    "points_vested": "Poin Anda bertambah",
    "reward_redeemed": "Penukaran poin",
    "redemption_due": "Penukaran poin menunggu diproses",
    "redemption_status": "Kabar penukaran poin",
    "sla_reminder": "Pengingat pesanan",
    "sla_manager": "Pesanan belum dijawab",
    "sla_escalation": "Eskalasi pesanan",
    "sla_delivery_reminder": "Pengingat pengiriman pesanan",
    "sla_hq_reminder": "Pengingat untuk kantor pusat",
    "sla_hq_escalation": "Eskalasi ke pimpinan",
    "sla_task_reminder": "Pengingat untuk kantor pusat",
    "sla_task_escalation": "Eskalasi ke pimpinan",
    "inbound_text": "Pesan WhatsApp masuk",
    "sign_in_link": "Kode masuk",
    "invitation": "Undangan ke Digital Hub",
    "password_reset": "Kode kata sandi baru",
    "button_outdated": "Tombol tidak berlaku",
    "messenger_trouble": "Pengiriman WhatsApp terganggu",
    "whatsapp_notice": "Pemberitahuan WhatsApp",
    "number_changed": "Nomor WhatsApp berubah",
    "erp_trouble": "Pertukaran data dengan ERP terganggu",
    "erp_cancel_refused": "ERP menolak pembatalan pesanan",
}
"""Subjects by template; the order's number follows."""


AT_ONCE = 8
"""Concurrent deliveries: mail servers accept few connections of one client."""

_PERMANENT = 500
_CLOSING = 421
_NO_SPACE = 552
_ENHANCED = re.compile(r"[245]\.(\d{1,3})\.(\d{1,3})\b")
_OF_SERVER = {"3.1", "3.2", "4.5"}
"""Subject and detail of an enhanced status: full disk, no mail accepted, sending quota used."""

_QUOTA = _OF_SERVER | {"2.2"}
"""2.2: the recipient's mailbox is full."""


def compose(message: Message, sender: str) -> EmailMessage:
    """The message as an e-mail. Raises ValueError if the recipient's address is invalid."""
    mail = EmailMessage()
    mail["From"] = sender
    # Address accepts exactly one address: no injection of a second recipient or header.
    mail["To"] = Address(one_line(message.recipient_name), addr_spec=message.recipient)
    subject = SUBJECTS.get(message.template, "Digital Hub Alfa Beauty")
    number = message.variables.get("order_number")
    mail["Subject"] = f"{subject} {one_line(number)}" if number else subject
    # The same id in every attempt lets mail programs recognise a duplicate.
    mail["Message-ID"] = f"<{message.id}@hub.alfabeauty>"
    mail.set_content(message.body)
    return mail


class MailDelivery:
    """Sends over SMTP, with one connection for each e-mail."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def turn(self) -> None:
        """A mail server has no known limit: it refuses what exceeds it."""

    async def deliver(self, message: Message) -> str:
        """Send the e-mail; returns its Message-ID and the attempt. Raises as `Delivery.deliver`."""
        if not message.recipient:
            raise DeliveryError("no address", retry=False)
        try:
            mail = compose(message, self._settings.smtp_sender)
        except (ValueError, IndexError, HeaderParseError) as error:
            raise DeliveryError("not an e-mail address", retry=False) from error
        server = await self._connect()
        try:
            await _send(server, mail)
            with suppress(aiosmtplib.SMTPException):
                await server.quit()  # the e-mail is accepted: an error while closing changes nothing
        finally:
            server.close()
        return f"{mail['Message-ID']}-{message.attempts}"

    async def _connect(self) -> aiosmtplib.SMTP:
        """Connect and log in. An error here is temporary: nothing was sent, and no e-mail is at fault."""
        settings = self._settings
        server = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user or None,
            password=settings.smtp_password.get_secret_value() or None,
            start_tls=settings.smtp_security == "starttls",
            use_tls=settings.smtp_security == "tls",
            timeout=20,
        )
        try:
            await server.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            server.close()
            code = f" {error.code}" if isinstance(error, aiosmtplib.SMTPResponseException) else ""
            pause = REFUSED if isinstance(error, aiosmtplib.SMTPAuthenticationError) else BACK_OFF
            raise DeliveryError(
                f"SMTP {type(error).__name__}{code}", retry=True, tried=False, pause=pause
            ) from error
        return server

    async def probe(self) -> None:
        """Connect and log in. Raises as `Delivery.probe`."""
        server = await self._connect()
        try:
            with suppress(aiosmtplib.SMTPException):
                await server.quit()
        finally:
            server.close()


async def _send(server: aiosmtplib.SMTP, mail: EmailMessage) -> None:
    try:
        await server.send_message(mail)
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise refusal(error.recipients[0].code, error.recipients[0].message) from error
    except aiosmtplib.SMTPSenderRefused as error:
        # The sender is the same in every e-mail: encryption, login or the address is wrong.
        pause = BACK_OFF if error.code < _PERMANENT else REFUSED
        raise DeliveryError(f"SMTP {error.code}", retry=True, pause=pause) from error
    except aiosmtplib.SMTPResponseException as error:
        raise refusal(error.code, error.message) from error
    except aiosmtplib.SMTPNotSupported as error:
        raise DeliveryError("SMTP SMTPNotSupported", retry=False) from error
    except Exception as error:
        # A cut connection or a timeout: the server may have accepted the e-mail.
        raise UnknownOutcomeError(type(error).__name__) from error


def refusal(code: int, text: str) -> DeliveryError:
    """The refusal of a recipient or of an e-mail, by its reply code and its enhanced status (RFC 3463)."""
    enhanced = _ENHANCED.match(text)
    detail = f"{enhanced[1]}.{enhanced[2]}" if enhanced else ""
    temporary = code < _PERMANENT or detail in _QUOTA or (code == _NO_SPACE and not detail)
    of_server = code == _CLOSING or detail in _OF_SERVER
    return DeliveryError(f"SMTP {code}", retry=temporary, pause=BACK_OFF if temporary and of_server else None)
