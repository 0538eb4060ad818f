"""Rewrite the text of a function with one guard, call or lock removed and all else unchanged."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_REFUSALS = "fail|violate_check|refuse_transition"
_GUARD = re.compile(rf"(?P<verb>\bperform app\.(?:{_REFUSALS})|\breturn app\.refuse)\(")
_CALL = re.compile(rf"\bperform (?:app|auth)\.(?!(?:{_REFUSALS})\()(?P<function>\w+)\(")
_RAISE = re.compile(r"\braise exception\b")
_LOCK = re.compile(r"[ \t\n]*\bfor (?:no key update|update|key share|share)\b(?P<skip> skip locked)?")
_ORDERED_LOCK = re.compile(r"\border by (?P<by>[\w.]+(?:, [\w.]+)*)(?=\s+for (?:no key )?update)")
_ADVISORY = re.compile(r"\bperform pg_advisory_xact_lock\(")
_TRY_ADVISORY = re.compile(r"\bpg_try_advisory_xact_lock\(")
_CODE = re.compile(r"app\.(?:fail|refuse|violate_check)\(\s*(?:'orders', )?'(\w+)'")


@dataclass(frozen=True)
class Rewriting:
    """A changed text: `kind` is guard, call or lock, `what` identifies the place in the function."""

    kind: str
    what: str
    text: str


def code_spans(text: str) -> list[tuple[int, int]]:
    """The spans that are code, not comment or string. A dollar-quoted body counts as code."""
    spans, start, i = [], 0, 0
    while i < len(text):
        end = _skip(text, i)
        if end == i:
            i += 1
            continue
        spans.append((start, i))
        start = i = end
    spans.append((start, len(text)))
    return spans


def _skip(text: str, i: int) -> int:
    """The end of the comment or string that starts at `i`, or `i` if none does."""
    if text.startswith("--", i):
        end = text.find("\n", i)
        return len(text) if end < 0 else end
    if text[i] == "'":
        end = i + 1
        while end < len(text):
            if text.startswith("''", end):
                end += 2
            elif text[end] == "'":
                return end + 1
            else:
                end += 1
        return len(text)
    return i


def closing(text: str, opening: int) -> int:
    """Position after the parenthesis that closes the one at `opening`. Raises ValueError without one."""
    depth, i = 0, opening
    while i < len(text):
        end = _skip(text, i)
        if end > i:
            i = end
            continue
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        i += 1
        if depth == 0:
            return i
    raise ValueError(f"unbalanced parenthesis in: {text[opening : opening + 60]}")


def rewritings(text: str) -> Iterator[Rewriting]:
    """Every way to remove one guard, one called effect or one lock from a function."""
    seen: Counter[str] = Counter()

    def named(kind: str, what: str, start: int, end: int, instead: str) -> Rewriting:
        seen[what] += 1
        return Rewriting(kind, f"{what}:{seen[what]}", text[:start] + instead + text[end:])

    for match in _code_matches(_GUARD, text):
        end = closing(text, match.end() - 1)
        code = _CODE.search(text, match.start(), end)
        yield named("guard", code.group(1) if code else "refusal", match.start(), end, "null")
    for match in _code_matches(_RAISE, text):
        yield named("guard", "raise", match.start(), text.index(";", match.end()), "null")
    for match in _code_matches(_CALL, text):
        end = text.index(";", closing(text, match.end() - 1))
        kind = "lock" if match["function"].startswith("lock_") else "call"
        yield named(kind, match["function"], match.start(), end, "null")
    for match in _code_matches(_LOCK, text):
        clause = " ".join(match.group().split())
        yield named("lock", clause.replace(" ", "-"), match.start(), match.end(), "")
        if match["skip"]:
            yield named("lock", "waits", match.start("skip"), match.end("skip"), "")
    for match in _code_matches(_ORDERED_LOCK, text):
        yield named("lock", "any-order", match.start("by"), match.end("by"), "random()")
    for match in _code_matches(_ADVISORY, text):
        yield named("lock", "advisory", match.start(), closing(text, match.end() - 1), "null")
    for match in _code_matches(_TRY_ADVISORY, text):
        yield named("lock", "try-advisory", match.start(), closing(text, match.end() - 1), "true")


def _code_matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    spans = code_spans(text)
    for match in pattern.finditer(text):
        first = match.start() + len(match.group()) - len(match.group().lstrip())
        if any(start <= first < end for start, end in spans):
            yield match
