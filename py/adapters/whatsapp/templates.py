"""Messages as Meta's templates: positional variables, in the order in which the text names them."""

import re
from typing import Any

from adapters.whatsapp.messages import Button, Message

LONGEST_BODY = 1024
"""Characters of a body with its variables filled in."""

LONGEST_PAYLOAD = 256
MOST_BUTTONS = 3
LONGEST_TITLE = 20
_VARIABLE = re.compile(r"\{\{(\w+)\}\}")


def variable_names(body: str) -> list[str]:
    """The names in a template's text, in order."""
    return _VARIABLE.findall(body)


def positional(body: str) -> str:
    """The text as it is submitted to Meta: {{1}}, {{2}} ..."""
    numbers = {name: str(n) for n, name in enumerate(variable_names(body), 1)}
    return _VARIABLE.sub(lambda found: "{{" + numbers[found[1]] + "}}", body)


def one_line(value: object) -> str:
    """A variable as Meta takes it: one line, no tabs, no runs of spaces, not empty."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in str("" if value is None else value).splitlines()]
    return "; ".join(line.removeprefix("- ") for line in lines if line) or "-"


def parameters(body: str, variables: dict[str, Any]) -> list[str]:
    """Values for a template's variables. What would make the text too long is cut where it is longest."""
    values = [one_line(variables.get(name)) for name in variable_names(body)]
    excess = len(_VARIABLE.sub("", body)) + sum(map(len, values)) - LONGEST_BODY
    while excess > 0:
        longest = max(range(len(values)), key=lambda n: len(values[n]))
        kept = max(1, len(values[longest]) - excess - 2)
        cut = values[longest][:kept].rstrip("; ") + " …"
        if len(cut) >= len(values[longest]):
            break  # nothing left to cut: Meta will say so
        excess -= len(values[longest]) - len(cut)
        values[longest] = cut
    return values


def components(message: Message, body: str) -> list[dict[str, Any]]:
    """The `components` of a template message; `body` is the template's text with its variables' names."""
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


def free_form_buttons(message: Message) -> list[Button]:
    """The buttons with which the text may go out as it stands; empty where a template has to carry it.

    Within a day of the reader's last word an interactive message keeps its lines as they are. A text that is
    too long for it is cut as a template's variable.
    """
    buttons = message.buttons or []
    fits = (
        len(message.body) <= LONGEST_BODY
        and len(buttons) <= MOST_BUTTONS
        and all(len(b.title) <= LONGEST_TITLE and len(b.payload) <= LONGEST_PAYLOAD for b in buttons)
    )
    return buttons if message.window_open and fits else []
