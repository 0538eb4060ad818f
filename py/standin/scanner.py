"""Reading a text from left to right, with errors that state the position."""

import re
from dataclasses import dataclass
from typing import NoReturn

from standin.errors import ApiError

_NAME = re.compile(r'"((?:[^"\\]|\\.)+)"|((?:[^\W]|[$ ])(?:[\w$ ]|-(?!>))*)')
_JSON_STEP = re.compile(
    r"(->>|->)(?:(-?\d+)(?![^\-:.,>()])|\"((?:[^\"\\]|\\.)+)\"|((?:[^(:.,>)\-\"]|-(?!>))+))"
)
MAX_STEPS = 500
FIELD_EXPECTED = "field name (* or [a..z0..9_$])"


@dataclass(frozen=True)
class Column:
    """A column and the steps into its JSON: ("->", "key") or ("->>", "0")."""

    name: str
    steps: tuple[tuple[str, str], ...] = ()


class Scanner:
    """A position in a text."""

    def __init__(self, text: str, what: str, shown: str | None = None) -> None:
        self.text = text
        self.position = 0
        self._what = what
        self._shown = text if shown is None else shown

    def take(self, literal: str) -> bool:
        if self.text.startswith(literal, self.position):
            self.position += len(literal)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    def sees(self, pattern: re.Pattern[str]) -> bool:
        """Whether the rest begins with this; nothing is taken."""
        return pattern.match(self.text, self.position) is not None

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def fail(self, expecting: str) -> NoReturn:
        rest = self.text[self.position :]
        unexpected = f'"{rest[0]}"' if rest else "end of input"
        raise ApiError(
            400,
            "PGRST100",
            f'"failed to parse {self._what} ({self._shown})" (line 1, column {self.position + 1})',
            f"unexpected {unexpected} expecting {expecting}",
        )

    def name(self, expecting: str = FIELD_EXPECTED) -> str:
        found = self.match(_NAME)
        if not found:
            self.fail(expecting)
        return unescape(found[1]) if found[1] is not None else found[2].strip()

    def steps(self) -> tuple[tuple[str, str], ...]:
        found = []
        while step := self.match(_JSON_STEP):
            key = step[2] or (unescape(step[3]) if step[3] else step[4])
            found.append((step[1], key))
            if len(found) > MAX_STEPS:
                self.fail("fewer steps")
        return tuple(found)

    def column(self, expecting: str = FIELD_EXPECTED) -> Column:
        return Column(self.name(expecting), self.steps())


def unescape(text: str) -> str:
    """The text without its backslash escapes."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
