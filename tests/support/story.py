"""A page of the documentation that shows a story in requests, and the means to play it.

Fenced blocks are read in their order: `http` is a request, a `json` block after it its answer, `console`
commands of `./hub` and what they print. In an answer, objects may leave out fields and "…" is any value.
`{name}` in an answer stores the value there, or compares it with the stored one; elsewhere it is replaced by
the stored value. `json title="409"` is the body of an error with this status.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

_FENCE = re.compile(r"^```(http|json|console)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"\{([a-z][a-z0-9-]*)\}")
ANYTHING = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block of the page; `title` is what its opening line says."""

    line: int
    kind: str
    title: str
    text: str


@dataclass(frozen=True)
class Request:
    line: int
    method: str
    path: str
    headers: dict[str, str]
    body: str


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(line, found[1], found[2].strip(), found[3])


def request_of(block: Block) -> Request:
    """The request that an `http` block shows."""
    head, _, body = block.text.partition("\n\n")
    first, *lines = head.splitlines()
    method, path = first.split(" ", 1)
    headers = dict(line.split(": ", 1) for line in lines)
    return Request(block.line, method, path, headers, body.strip())


@dataclass
class Player:
    """Plays a page against a gateway.

    `run` runs a command of `./hub` and returns what it prints. `provided` computes the values of names that
    no answer has stored, such as a token in a message.
    """

    http: httpx.Client
    run: Callable[[str], str]
    provided: Mapping[str, Callable[[], str]]
    names: dict[str, Any] = field(default_factory=dict)

    def play(self, page: Path) -> int:
        """Play the whole page; returns the number of requests.

        Raises AssertionError with the line of the block that differs.
        """
        found = list(blocks(page))
        requests = 0
        for block, following in zip(found, [*found[1:], None], strict=True):
            where = f"{page.name}:{block.line}"
            if block.kind == "console":
                self.play_console(block, where)
            elif block.kind == "http":
                requests += 1
                answer = following if following and following.kind == "json" else None
                self.play_request(request_of(block), answer, where)
        return requests

    def play_console(self, block: Block, where: str) -> None:
        lines = block.text.splitlines()
        printed = "\n".join(self.run(line[2:]) for line in lines if line.startswith("$ "))
        for line in lines:
            assert line.startswith("$ ") or line in printed, f"{where}: printed {printed}"

    def play_request(self, request: Request, answer: Block | None, where: str) -> None:
        headers = {name: self.filled(text) for name, text in request.headers.items()}
        if request.body:
            headers = {"Content-Type": "application/json"} | headers
        response = self.http.request(
            request.method, self.filled(request.path), content=self.filled(request.body), headers=headers
        )
        error = re.search(r"[0-9]{3}", answer.title) if answer else None
        expected = int(error[0]) if error else None
        fits = response.status_code == expected if expected else response.is_success
        assert fits, f"{where}: {response.status_code} {response.text}"
        if answer:
            seen = json.loads(response.text, parse_float=Decimal)
            self.compare(json.loads(answer.text, parse_float=Decimal), seen, f"{where}: {response.text}: ")

    def compare(self, expected: Any, seen: Any, where: str) -> None:
        """Compare an answer with the one that the page shows, and store the values of its new names."""
        if isinstance(expected, dict):
            assert isinstance(seen, dict), f"{where} is no object"
            for name, value in expected.items():
                assert name in seen, f"{where}.{name} is missing"
                self.compare(value, seen[name], f"{where}.{name}")
        elif isinstance(expected, list):
            assert isinstance(seen, list), f"{where} is no array"
            assert len(expected) == len(seen), f"{where} has {len(seen)} elements"
            for index, (value, element) in enumerate(zip(expected, seen, strict=True)):
                self.compare(value, element, f"{where}[{index}]")
        elif isinstance(expected, str) and (name := _NAME.fullmatch(expected)):
            if name[1] not in self.names and name[1] not in self.provided:
                self.names[name[1]] = seen
            assert seen == self.value(name[1]), f"{where} is {seen}"
        elif expected != ANYTHING:
            wanted = self.filled(expected) if isinstance(expected, str) else expected
            assert seen == wanted, f"{where} is {seen!r}, not {wanted!r}"

    def filled(self, text: str) -> str:
        """The text with the values of its names."""
        return _NAME.sub(lambda name: str(self.value(name[1])), text)

    def value(self, name: str) -> Any:
        if name not in self.names:
            self.names[name] = self.provided[name]()
        return self.names[name]
