"""Compares the templates that Meta has with those that the code needs."""

from collections.abc import Sequence
from typing import Any

from adapters.whatsapp.meta import open_client
from adapters.whatsapp.settings import Settings

_FIELDS = ("name", "language", "status", "category", "components", "rejected_reason")
_PAGE = 100

Json = dict[str, Any]


async def fetch(settings: Settings) -> list[Json]:
    """All templates of the business account. Raises WhatsAppError, ForeignAnswerError or httpx.HTTPError."""
    client, session = open_client(settings)
    found: list[Json] = []
    pagination = {"limit": str(_PAGE)}
    async with session:
        while True:
            answer = await client.api.get_templates(
                settings.whatsapp_business_account_id, fields=_FIELDS, pagination=pagination
            )
            found += answer["data"]
            paging = answer.get("paging", {})
            if "next" not in paging:
                return found
            pagination["after"] = paging["cursors"]["after"]


def compare(needed: Sequence[Json], found: Sequence[Json], language: str) -> list[str]:
    """What is wrong with what Meta has, a line for each problem; further templates there are ignored."""
    problems: list[str] = []
    for template in needed:
        same_name = [other for other in found if other["name"] == template["name"]]
        same = [other for other in same_name if other["language"] == language]
        if not same_name:
            reasons = ["is missing"]
        elif not same:
            languages = ", ".join(sorted(other["language"] for other in same_name))
            reasons = [f"has language {languages}, needed is {language}"]
        else:
            reasons = _differences(template, same[0])
        problems += [f"{template['name']} {reason}" for reason in reasons]
    return problems


def _differences(needed: Json, found: Json) -> list[str]:
    reasons = []
    if found["status"] != "APPROVED":
        why = found.get("rejected_reason") or "NONE"
        reasons.append(f"is {found['status']}" + (f": {why}" if why != "NONE" else ""))
    if found["category"] != needed["category"]:
        reasons.append(f"has category {found['category']}, needed is {needed['category']}")
    content = _code_content if needed["category"] == "AUTHENTICATION" else _content
    have, want = content(_parts(found)), content(_parts(needed))
    reasons += [
        f"has another {part}: {have[part]!r}, needed is {want[part]!r}"
        for part in want
        if have[part] != want[part]
    ]
    return reasons


def _parts(template: Json) -> dict[str, Json]:
    return {part["type"].upper(): part for part in template["components"]}


def _content(parts: dict[str, Json]) -> Json:
    buttons = parts.get("BUTTONS", {}).get("buttons", [])
    return {
        "text": parts.get("BODY", {}).get("text", "").replace("\r\n", "\n"),
        "set of buttons": [(button["type"], button["text"]) for button in buttons],
    }


def _code_content(parts: dict[str, Json]) -> Json:
    """Meta writes the text itself, and keeps the button that copies the code as a URL button."""
    buttons = parts.get("BUTTONS", {}).get("buttons", [])
    kinds = [f"{button.get('otp_type', '')} {button.get('url', '')}" for button in buttons]
    return {
        "security recommendation": bool(parts.get("BODY", {}).get("add_security_recommendation")),
        "expiry in minutes": parts.get("FOOTER", {}).get("code_expiration_minutes"),
        "kind of button": ["COPY_CODE" if "COPY_CODE" in kind else kind for kind in kinds],
    }
