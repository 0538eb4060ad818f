"""docs/whatsapp/templates.md: the templates to submit to Meta, generated from app.message_templates()."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.whatsapp.templates import positional, variable_names

QUERY = "select template, body, buttons from app.message_templates()"

_HEAD = """# WhatsApp templates

Meta must approve these templates before messages can be sent. Submit them in WhatsApp Manager (Message
templates, Create template) or by `POST /<version>/<WABA_ID>/message_templates` with the JSON below each name.
They have category UTILITY, language `id` (Indonesian) and positional variables. The adapter sends the values
in this order, each on one line. An e-mail, and a message on the console, has the same text.

Set `message_send_ttl_seconds` of `sla_reminder` and `sla_delivery_reminder` to 10800 (3 hours, the time to
the next escalation level) and of `sign_in_link` to 900, the life of the code: later the message is useless.
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


def _json(template: Template) -> str:
    """The body of the request that submits a template."""
    body: dict[str, object] = {"type": "BODY", "text": positional(template.body)}
    names = variable_names(template.body)
    if names:
        body["example"] = {"body_text": [[_EXAMPLES[name] for name in names]]}
    components: list[dict[str, object]] = [body]
    if template.buttons:
        buttons = [{"type": "QUICK_REPLY", "text": title} for title in template.buttons]
        components.append({"type": "BUTTONS", "buttons": buttons})
    whole = {"name": template.name, "language": "id", "category": "UTILITY", "components": components}
    return json.dumps(whole, ensure_ascii=False, indent=2)


def page(templates: Iterable[Template]) -> str:
    """The page in Markdown, one section for each template."""
    parts = [_HEAD]
    for template in templates:
        names = variable_names(template.body)
        listed = ", ".join(f"`{{{{{n}}}}}` {name}" for n, name in enumerate(names, 1)) or "none"
        parts.append(
            f"## {template.name}\n\nCategory: UTILITY · Language: id · Variables: {listed}"
            f" · Buttons: {', '.join(template.buttons) or 'none'}\n\n```json\n{_json(template)}\n```\n"
        )
    return "\n".join(parts)
