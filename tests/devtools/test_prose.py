"""The language lint finds each banned word, and only whole words."""

from pathlib import Path

import pytest

from devtools import prose
from hub import paths

PAGE = Path("page.md")


def words_in(text: str) -> list[str]:
    """The banned words that the lint finds in a text."""
    return [finding.word.lower() for finding in prose.findings(PAGE, text)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The call tells the partner.", "tells"),
        ("def test_partner_is_told_once", "told"),
        ("It is made anew.", "anew"),
        ("Here stands the rule.", "stands"),
        ("Nobody may call it.", "nobody"),
        ("Whoever calls", "whoever"),
        ("a row of somebody's", "somebody's"),
        ("pg_cron is not there; where it is to be had", "is to be had"),
        ("errors that a user can mend", "mend"),
        ("A partner sees his orders.", "his"),
        ("He waits.", "he"),
        ("an error of ours", "of ours"),
        ("class House:", "house"),
        ("the hub's door", "the hub's door"),
        ("Owes somebody a message", "owes somebody a message"),
    ],
)
def test_a_banned_word_is_found(text: str, word: str) -> None:
    assert word in words_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "The stand-in is standalone on standby.",
        "warehouse, history, the, where, this, shell, thief",
        "a total, a recommendation, an amendment, welfare",
    ],
)
def test_other_words_are_not_found(text: str) -> None:
    assert words_in(text) == []


def test_a_finding_names_file_line_and_replacement() -> None:
    [finding] = prose.findings(PAGE, "first\nIt was told.\n")
    assert str(finding) == "page.md:2: 'told': write notify, report, state or return"


def test_the_project_has_no_banned_word() -> None:
    assert [
        str(finding)
        for path in prose.project_files()
        for finding in prose.findings(path, (paths.root() / path).read_text())
    ] == []
