"""Messages as Meta's templates: positional variables, in the order in which the text names them."""

import re
from typing import Any

from adapters.whatsapp.messages import Button, Message

MAX_BODY_LENGTH = 1024
"""Characters of a body, its variables filled in."""

MAX_CODE_LENGTH = 15
"""Characters of the code of an authentication template."""

MAX_PAYLOAD_LENGTH = 256
MAX_BUTTONS = 3
MAX_TITLE_LENGTH = 20
AUTHENTICATION = frozenset({"sign_in_link"})
"""Templates of Meta's category AUTHENTICATION: a fixed text, and a button that copies the code (ADR 11)."""

MAIL_ONLY = frozenset({"password_reset", "messenger_trouble"})
"""Templates that are sent by e-mail only, so Meta need not approve them."""

_VARIABLE = re.compile(r"\{\{(\w+)\}\}")


def variable_names(body: str) -> list[str]:
    """The names of the variables of a template's text, in order."""
    return _VARIABLE.findall(body)


def positional(body: str) -> str:
    """The text in the form that Meta reviews: {{1}}, {{2}} ... instead of names."""
    numbers = {name: str(n) for n, name in enumerate(variable_names(body), 1)}
    return _VARIABLE.sub(lambda found: "{{" + numbers[found[1]] + "}}", body)


def one_line(value: object) -> str:
    """A variable as Meta accepts it: one line, no tabs, no runs of spaces, not empty."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in str("" if value is None else value).splitlines()]
    return "; ".join(line.removeprefix("- ") for line in lines if line) or "-"


def parameters(body: str, variables: dict[str, Any]) -> list[str]:
    """The values of a template's variables, the longest cut until the text fits MAX_BODY_LENGTH."""
    values = [one_line(variables.get(name)) for name in variable_names(body)]
    excess = len(_VARIABLE.sub("", body)) + sum(map(len, values)) - MAX_BODY_LENGTH
    while excess > 0:
        longest = max(range(len(values)), key=lambda n: len(values[n]))
        kept = max(1, len(values[longest]) - excess - 2)
        cut = values[longest][:kept].rstrip("; ") + " …"
        if len(cut) >= len(values[longest]):
            break  # nothing left to cut: Meta refuses the message
        excess -= len(values[longest]) - len(cut)
        values[longest] = cut
    return values


def components(message: Message, body: str) -> list[dict[str, Any]]:
    """The `components` of a template message; `body` is the template's text with named variables."""
    if message.template in AUTHENTICATION:
        return _code_components(one_line(message.variables.get("token")))
    texts = parameters(body, message.variables)
    found: list[dict[str, Any]] = []
    if texts:
        found.append({"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]})
    found += [
        {
            "type": "button",
            "sub_type": "quick_reply",
            "index": str(n),
            "parameters": [{"type": "payload", "payload": button.payload}],
        }
        for n, button in enumerate(message.buttons or [])
    ]
    return found


def _code_components(code: str) -> list[dict[str, Any]]:
    """The code twice: in Meta's text, and for the button that copies it, which Meta keeps as a URL button."""
    parameters = [{"type": "text", "text": code}]
    return [
        {"type": "body", "parameters": parameters},
        {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters},
    ]


def free_form_buttons(message: Message) -> list[Button]:
    """The buttons of a message that can be sent in free form; empty if it needs a template.

    Free form keeps the line breaks of the text. Meta accepts it for 24 hours after the recipient's last
    message, within limits of length; a longer text is sent as a template, whose variables can be cut.
    """
    buttons = message.buttons or []
    fits = (
        len(message.body) <= MAX_BODY_LENGTH
        and len(buttons) <= MAX_BUTTONS
        and all(len(b.title) <= MAX_TITLE_LENGTH and len(b.payload) <= MAX_PAYLOAD_LENGTH for b in buttons)
    )
    return buttons if message.window_open and fits else []
