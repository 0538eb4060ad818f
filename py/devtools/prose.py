"""A lint for the language of the project: words that CONTRIBUTING.md replaces by plainer ones.

Run as `python -m devtools.prose [FILE ...]`; without files, every text file that git knows is read.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub import paths

SUFFIXES = {".md", ".mjs", ".pgbench", ".py", ".sh", ".sql", ".toml", ".ts", ".tsx", ".yaml", ".yml", ""}
"""Files that people write; recordings, data of the demo and lock files are left out."""

EXCLUDED = (
    "docs/schema.sql",
    "py/devtools/prose.py",
    "py/hub/seed/data/",
    "tests/devtools/test_prose.py",
    "tests/standin/schema.sql",
)

_WORDS = {
    r"tells?|told": "notify, report, state or return",
    r"anew": "again, or recreate",
    r"stands?(?![-_ ]?in\b|alone|by)": "is or exists",
    r"nobody(?:'s)?": "no one, or name the role",
    r"whoever": "the caller, or name the role",
    r"somebody(?:'s)?": "someone, or name the role",
    r"(?:is|are|was|were|be) to be had": "is available",
    r"mend(?:s|ed|ing)?": "fix",
    r"he|his|him|himself": "they, their, them",
    r"house|houses": "environment",
    r"prey|preys": "sample",
    r"deeds?": "operation",
    r"torture[sd]?|torturing": "crash test",
    r"of ours": "our own, or name the owner",
    r"so that it may": "so that it can",
    r"owed a message|owes? .{0,20} a message": "a message is enqueued",
    r"fares?": "name the state",
    r"calm|calmly": "name the state",
    r"(?<!flake8-)tidy|tidily|tidies": "clean, or normalise",
    r"the hub's (?:door|trail|reader|walk|crowd|lies)": "the field's own term",
    r"front door": "gateway or API",
}

BANNED = {
    re.compile(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])", re.IGNORECASE): say for words, say in _WORDS.items()
}


@dataclass(frozen=True)
class Finding:
    """A banned word: where it is and what to write instead."""

    path: Path
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: '{self.word}': write {self.instead}"


def findings(path: Path, text: str) -> Iterator[Finding]:
    """Every banned word of a text, in order."""
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, instead in BANNED.items():
            for match in pattern.finditer(line):
                yield Finding(path, number, match.group(), instead)


def project_files() -> list[Path]:
    """The text files of the checkout that people write, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=paths.root(),
        check=True,
        capture_output=True,
        text=True,
    )
    return [
        Path(name)
        for name in sorted(listed.stdout.splitlines())
        if Path(name).suffix in SUFFIXES and not name.startswith(EXCLUDED) and (paths.root() / name).is_file()
    ]


def main(arguments: Sequence[str]) -> int:
    """Print every finding; returns 1 if there are any."""
    files = [Path(name) for name in arguments] or project_files()
    found = [finding for path in files for finding in findings(path, (paths.root() / path).read_text())]
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
