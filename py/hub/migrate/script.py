"""Runs a whole SQL file in one round trip, and finds the line of a failure.

The server parses the file. Only after a failure is the text split into statements here, to find the beginning
of the failed one: a syntax error carries a position in the text, an error at run time does not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import generators
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from hub.migrate.errors import MigrationError

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<comment>/\*)
      | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
      | (?P<quoted>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*")
      | (?P<word>[^\W\d][\w$]*)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_TRANSACTION_WORDS = {"begin", "commit", "rollback", "start", "end", "abort", "savepoint", "release"}


@dataclass(frozen=True)
class Statement:
    """A top-level statement: its offsets in characters from 0, and its first word in lower case.

    `end` is that of its last token, before the semicolon.
    """

    start: int
    word: str
    end: int = 0


def _past_comment(text: str, start: int) -> int:
    """End of the block comment at `start`; block comments nest."""
    depth, at = 1, start + 2
    while depth and (edge := _BLOCK_EDGE.search(text, at)):
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at if depth == 0 else len(text)


def _scan(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of each token, without spaces and comments."""
    at = 0
    while at < len(text) and (token := _TOKEN.match(text, at)):
        kind, start, at = str(token.lastgroup), token.start(), token.end()
        if kind == "comment":
            at = _past_comment(text, start)
        elif kind == "dollar":
            close = text.find(token.group(), at)
            at = len(text) if close < 0 else close + len(token.group())
        if kind not in ("space", "comment"):
            yield kind, start, at


def statements(text: str) -> list[Statement]:
    """The top-level statements of an SQL text, in order."""
    found: list[Statement] = []
    start, word, previous, depth, end = -1, "", "", 0, 0
    for kind, token_start, token_end in _scan(text):
        this = text[token_start:token_end].lower() if kind in ("word", "mark") else ""
        if this == ";" and depth == 0:
            if start >= 0:
                found.append(Statement(start, word, end))
            start, word = -1, ""
        elif start < 0:
            start, word = token_start, this
        end = token_end
        # Semicolons inside `begin atomic ... end`, which may contain `case ... end`, and inside rules do not
        # end it.
        if this == "(" or (this == "atomic" and previous == "begin") or (this == "case" and depth):
            depth += 1
        elif depth and this in (")", "end"):
            depth -= 1
        previous = this
    if start >= 0:
        found.append(Statement(start, word, end))
    return found


def tokens(text: str) -> list[str]:
    """The tokens of a statement without spaces and comments; words outside quotes in lower case."""
    return [
        text[start:end].lower() if kind == "word" else text[start:end] for kind, start, end in _scan(text)
    ]


def line_at(text: str, offset: int) -> int:
    """Line number, from 1, of the character at `offset`."""
    return text.count("\n", 0, offset) + 1


def _failing_line(text: str, position: str | None, completed: int) -> int | None:
    if position:
        return line_at(text, int(position) - 1)
    found = statements(text)
    return line_at(text, found[completed].start) if completed < len(found) else None


def describe(diagnostic: Any) -> tuple[str, str]:
    """Message and hint of a server error."""
    more = [diagnostic.message_detail, diagnostic.message_hint]
    return diagnostic.message_primary or "failed", "\n  ".join(text for text in more if text)


def run(conn: psycopg.Connection[Any], path: Path, text: str) -> None:
    """Execute the text of a file unchanged, inside the transaction that the caller opened.

    Raises MigrationError with file and line, and LockNotAvailable or DeadlockDetected, which callers retry.
    """
    for statement in statements(text):
        if statement.word in _TRANSACTION_WORDS:
            raise MigrationError(
                f"'{statement.word}' is not allowed, because the whole file is one transaction",
                path=path,
                line=line_at(text, statement.start),
            )
    with conn.lock:
        conn.pgconn.send_query(text.encode())
        results = conn.wait(generators.execute(conn.pgconn))
    if not results or results[-1].status != ExecStatus.FATAL_ERROR:
        return
    error = error_from_result(results[-1], encoding="utf-8")
    if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
        raise error
    message, hint = describe(error.diag)
    line = _failing_line(text, error.diag.statement_position, len(results) - 1)
    raise MigrationError(message, path=path, line=line, hint=hint) from error
