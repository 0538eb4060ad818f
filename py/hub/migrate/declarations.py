"""What the repeatable files declare, statement by statement: objects, privileges, comments, and the rest."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hub.migrate.errors import MigrationError
from hub.migrate.script import line_at, statements, tokens
from hub.migrate.tree import shown

CODE = ("function", "view", "type")
"""Kinds that other objects depend on."""

OBJECTS = (*CODE, "trigger", "policy")
"""Kinds that the catalogue of PostgreSQL holds as objects of their own."""

LOCKS = {
    "function": "no lock on a table",
    "type": "no lock on a table",
    "view": "ACCESS EXCLUSIVE on {}",
    "trigger": "SHARE ROW EXCLUSIVE on {}",
    "policy": "ACCESS EXCLUSIVE on {}",
    "row security": "ACCESS EXCLUSIVE on {}",
    "grant": "no lock on a table",
    "comment": "no lock that readers or writers wait for",
    "block": "SHARE ROW EXCLUSIVE on the tables of its triggers",
    "data": "ROW EXCLUSIVE on its tables",
}
"""The longest lock of each kind of statement, in words; `{}` is the table or view."""

_FUNCTION = {"function", "procedure"}
_CREATE = re.compile(r"create\s+(?!or\s+replace\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Declared:
    """A statement; `name` is that of its object, what it comments (`column api.orders.id`), or its hash."""

    kind: str
    name: str
    path: Path
    line: int
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name."""
        return self.kind, self.name

    @cached_property
    def words(self) -> list[str]:
        """The tokens of the statement."""
        return tokens(self.text)

    @property
    def sha256(self) -> str:
        """Hash of the statement without the spaces and comments around its tokens."""
        return _hash(self.words)

    @property
    def is_constraint_trigger(self) -> bool:
        """Whether PostgreSQL cannot replace this trigger."""
        return self.kind == "trigger" and "constraint" in self.words[1:4]

    @property
    def sql(self) -> str:
        """The statement, below as many lines as precede it in its file, so that errors name its line."""
        return "\n" * (self.line - 1) + self.text

    @property
    def replacing(self) -> str:
        """The statement with `create or replace`."""
        return "\n" * (self.line - 1) + _CREATE.sub("create or replace ", self.text, count=1)

    @property
    def lock(self) -> str:
        """The lock that lasts longest, in words."""
        return LOCKS[self.kind].format(self.name.rpartition(" on ")[2])

    @property
    def commented(self) -> str:
        """The object of a comment; of a column its relation."""
        kind, _, target = self.name.partition(" ")
        return target.rpartition(".")[0] if kind == "column" else target.partition("(")[0]

    def mentions(self, names: set[str]) -> bool:
        """Whether the statement names one of these objects, or all objects of a schema."""
        if not names:
            return False
        named = {_dotted(self.words[at:]) for at in range(len(self.words))}
        return bool(named & names) or {"all", "in"} <= named


def read(files: dict[str, Path]) -> list[Declared]:
    """The statements of all files, in order. Raises MigrationError for a statement of another kind."""
    found = []
    for path in files.values():
        text = path.read_text()
        for statement in statements(text):
            body = text[statement.start : statement.end]
            found.append(_declared(shown(path), line_at(text, statement.start), body))
    return found


def _declared(path: Path, line: int, text: str) -> Declared:
    words = tokens(text)
    kind, name = _kind_and_name(words)
    if not kind:
        raise MigrationError(
            f"a repeatable file cannot contain '{' '.join(words[:3])}'",
            path=path,
            line=line,
            hint="functions, views, types of api, triggers, policies, grants and comments can be repeated; "
            "other objects belong to sql/schema",
        )
    if kind in ("grant", "block", "data"):
        name = _hash(words)
    return Declared(kind, name, path, line, text)


def _hash(words: list[str]) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def _kind_and_name(words: list[str]) -> tuple[str, str]:
    """Kind and name of a statement; an empty kind if it is of no known one."""
    found = "", ""
    match words:
        case [("grant" | "revoke"), *_]:
            found = "grant", ""
        case ["comment", "on", *rest]:
            found = "comment", _commented(rest)
        case ["do", *_]:
            found = "block", ""
        case [("select" | "insert" | "update" | "delete" | "with"), *_]:
            found = "data", ""
        case ["alter", "table", *rest] if "security" in rest:
            found = "row security", _dotted(rest)
        case ["create", *rest]:
            found = _created([word for word in rest if word not in ("or", "replace", "constraint")])
    return found


def _created(rest: list[str]) -> tuple[str, str]:
    match rest:
        case [word, *name] if word in _FUNCTION:
            return "function", _dotted(name)
        case ["materialized", "view", *name] | ["view", *name]:
            return "view", _dotted(name)
        case [("type" | "domain"), *name]:
            return "type", _dotted(name)
        case [("trigger" | "policy") as kind, name, *more]:
            return kind, f"{_unquoted(name)} on {_dotted(more[more.index('on') + 1 :])}"
    return "", ""


def _commented(rest: list[str]) -> str:
    """Kind and name of what is commented, as a comment would name it."""
    kind = " ".join(rest[: 2 if rest[0] == "materialized" else 1])
    words = rest[len(kind.split()) : rest.index("is")]
    if kind in ("trigger", "policy", "constraint"):
        return f"{kind} {_unquoted(words[0])} on {_dotted(words[2:])}"
    name = _dotted(words)
    arguments = words[2 * name.count(".") + 1 :] if kind in _FUNCTION else []
    return f"{kind} {name}{' '.join(arguments)}"


def _dotted(words: list[str]) -> str:
    """The qualified name at the beginning."""
    name, at = _unquoted(words[0]), 1
    while at + 1 < len(words) and words[at] == ".":
        name += "." + _unquoted(words[at + 1])
        at += 2
    return name


def _unquoted(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word
