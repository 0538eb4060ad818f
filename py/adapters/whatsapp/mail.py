"""E-mail, the second channel."""

from email.message import EmailMessage

import aiosmtplib

from adapters.whatsapp.delivery import DeliveryError, UnknownOutcomeError
from adapters.whatsapp.messages import Message
from adapters.whatsapp.settings import Settings

SUBJECTS = {
    "order_routed": "Pesanan baru",
    "order_withdrawn": "Pesanan dialihkan",
    "order_unrouted": "Pesanan tanpa sub-distributor",
    "order_over_limit": "Pesanan melebihi plafon kredit",
    "order_placed_for_you": "Pesanan atas nama Anda",
    "order_status": "Kabar pesanan",
    "invoice_issued": "Tagihan",
    "payment_received": "Pembayaran diterima",
    "refund_due": "Periksa pengembalian dana",
    "points_vested": "Poin Anda bertambah",
    "reward_redeemed": "Penukaran poin",
    "sla_reminder": "Pengingat pesanan",
    "sla_manager": "Pesanan belum dijawab",
    "sla_escalation": "Eskalasi pesanan",
    "inbound_text": "Pesan WhatsApp masuk",
    "sign_in_link": "Kode masuk",
    "button_outdated": "Tombol tidak berlaku",
    "messenger_trouble": "Pengiriman WhatsApp terganggu",
}
"""Subject by template, before the order's number."""


def compose(message: Message, sender: str) -> EmailMessage:
    """The message as an e-mail."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = message.recipient
    subject = SUBJECTS.get(message.template, "Digital Hub Alfa Beauty")
    number = message.variables.get("order_number")
    mail["Subject"] = f"{subject} {number}" if number else subject
    # Repeated after a doubtful sending, it is the same mail to the reader's program.
    mail["Message-ID"] = f"<{message.id}@hub.alfabeauty>"
    mail.set_content(message.body)
    return mail


class MailDelivery:
    """Sends by SMTP, a connection for each mail."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def deliver(self, message: Message) -> str:
        """Send it; returns its Message-ID."""
        if not message.recipient:
            raise DeliveryError("no address", retry=False)
        told = self._settings
        mail = compose(message, told.smtp_sender)
        try:
            await aiosmtplib.send(
                mail,
                hostname=told.smtp_host,
                port=told.smtp_port,
                username=told.smtp_user or None,
                password=told.smtp_password or None,
                start_tls=told.smtp_security == "starttls",
                use_tls=told.smtp_security == "tls",
                timeout=20,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            raise DeliveryError(f"SMTP {codes[0]}", retry=codes[0] < 500) from error
        except (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPConnectError) as error:
            raise DeliveryError(f"SMTP {type(error).__name__}", retry=True) from error
        except aiosmtplib.SMTPResponseException as error:
            raise DeliveryError(f"SMTP {error.code}", retry=error.code < 500) from error
        except Exception as error:
            raise UnknownOutcomeError(type(error).__name__) from error
        return f"{mail['Message-ID']}-{message.attempts}"
