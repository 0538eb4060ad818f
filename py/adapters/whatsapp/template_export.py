"""docs/whatsapp/templates.md: the templates to submit to Meta, generated from app.message_templates()."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from adapters.whatsapp.templates import AUTHENTICATION, MAIL_ONLY, positional, variable_names

QUERY = "select template, body, buttons from app.message_templates()"

CODE_MINUTES = 15
"""The default of `auth.link_minutes`: the footer of an authentication template states it, and is fixed."""

_LIFETIME_SECONDS = {
    "sla_reminder": 10800,
    "sla_delivery_reminder": 10800,
    "sign_in_link": CODE_MINUTES * 60,
}
"""After so long the message is useless: the next escalation level is reached, the code has expired."""

_HEAD = f"""# WhatsApp templates

Meta must approve these templates before messages can be sent. Submit each with the JSON below its name, by
`POST /<version>/<WABA_ID>/message_templates` or in WhatsApp Manager (Message templates, Create template).
`./hub whatsapp templates` prints the same, and `./hub whatsapp templates --check` compares what Meta has.

All have language `id` (Indonesian) and positional variables. The adapter sends the values in this order, each
on one line. An e-mail, and a message on the console, has the same text. Category AUTHENTICATION has a fixed
text of Meta's and a button that copies the code; its footer says {CODE_MINUTES} minutes, the default of
`auth.link_minutes`: submit it again if you change that. Sent by e-mail only, so not submitted:
{", ".join(f"`{name}`" for name in sorted(MAIL_ONLY))}.
"""

_EXAMPLES = {
    "order_number": "ORD-261123-000042",
    "partner_name": "Salon Melati",
    "subdist_name": "CV Sinar Jaya",
    "agent_name": "Ani Wijaya",
    "lines": "2 x Sampo Keratin 1 L (AP-1001); 1 x Masker Rambut (AP-2040)",
    "grand_total": "Rp1.250.000",
    "amount": "Rp1.250.000",
    "amount_due": "Rp750.000",
    "address": "Jl. Braga 12, Bandung",
    "reason": "dialihkan",
    "status_text": "dikirim",
    "invoice_number": "INV-261123-000042",
    "credit_note_number": "CN-261123-000007",
    "due_date": "23-12-2026",
    "days_overdue": "7",
    "points": "125",
    "point_balance": "640",
    "reward": "Gunting Rambut",
    "waiting_since": "22-11-2026 09:15 WIB",
    "task": "dijawab",
    "subject": "INV-261123-000042",
    "since": "22-11-2026 09:15 WIB",
    "sender": "Salon Melati (+6281311112222)",
    "text": "Apakah pesanan saya sudah dikirim?",
    "token": "mL3vQ8",
    "minutes": "15",
    "hours": "168",
    "name": "Salon Melati",
    "account": "mitra",
    "old_number": "+628111111111",
    "new_number": "+628133333333",
    "event": "message_template_status_update PAUSED order_routed",
    "error_code": "190",
    "stream": "stock",
    "error": "koneksi ditolak",
}


@dataclass(frozen=True)
class Template:
    """A row of app.message_templates()."""

    name: str
    body: str
    buttons: list[str]


def category(name: str) -> str:
    """Meta's category of a template."""
    return "AUTHENTICATION" if name in AUTHENTICATION else "UTILITY"


def submission(template: Template) -> dict[str, Any]:
    """The body of the request that submits a template."""
    whole: dict[str, Any] = {
        "name": template.name,
        "language": "id",
        "category": category(template.name),
    }
    if template.name in _LIFETIME_SECONDS:
        whole |= {"message_send_ttl_seconds": _LIFETIME_SECONDS[template.name]}
    parts = _code_parts() if template.name in AUTHENTICATION else _parts(template)
    return whole | {"components": parts}


def submissions(templates: Iterable[Template]) -> list[dict[str, Any]]:
    """The requests that submit all templates that Meta must approve."""
    return [submission(template) for template in templates if template.name not in MAIL_ONLY]


def _parts(template: Template) -> list[dict[str, Any]]:
    body: dict[str, Any] = {"type": "BODY", "text": positional(template.body)}
    names = variable_names(template.body)
    if names:
        body["example"] = {"body_text": [[_EXAMPLES[name] for name in names]]}
    if not template.buttons:
        return [body]
    buttons = [{"type": "QUICK_REPLY", "text": title} for title in template.buttons]
    return [body, {"type": "BUTTONS", "buttons": buttons}]


def _code_parts() -> list[dict[str, Any]]:
    button = {"type": "OTP", "otp_type": "COPY_CODE", "text": "Salin kode"}
    return [
        {"type": "BODY", "add_security_recommendation": True},
        {"type": "FOOTER", "code_expiration_minutes": CODE_MINUTES},
        {"type": "BUTTONS", "buttons": [button]},
    ]


def page(templates: Iterable[Template]) -> str:
    """The page in Markdown, one section for each template that Meta must approve."""
    parts = [_HEAD]
    for template in templates:
        if template.name in MAIL_ONLY:
            continue
        is_code = template.name in AUTHENTICATION
        names = ["token"] if is_code else variable_names(template.body)
        listed = ", ".join(f"`{{{{{n}}}}}` {name}" for n, name in enumerate(names, 1)) or "none"
        buttons = "Salin kode" if is_code else ", ".join(template.buttons) or "none"
        text = json.dumps(submission(template), ensure_ascii=False, indent=2)
        parts.append(
            f"## {template.name}\n\nCategory: {category(template.name)} · Language: id · Variables: {listed}"
            f" · Buttons: {buttons}\n\n```json\n{text}\n```\n"
        )
    return "\n".join(parts)
