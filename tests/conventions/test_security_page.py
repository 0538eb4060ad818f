"""docs/security.md: every risk, every role, and in each row tests that exist."""

import re

import pytest

from hub import paths
from tests.rls import matrix

PAGE = (paths.root() / "docs" / "security.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(heading: str) -> list[list[str]]:
    """The cells of the rows of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("heading", ["Threats", "Roles"])
def test_every_row_names_tests_that_exist(heading: str) -> None:
    for row in rows(heading):
        named = TEST.findall(row[-1])
        assert named, f"no test holds: {row[:2]}"
        for file, test in named:
            text = (paths.root() / file).read_text()
            assert f"def {test}(" in text, f"{file}::{test}"


def test_every_risk_of_the_owasp_list_has_a_threat() -> None:
    named = {match[1] for row in rows("Threats") if (match := re.match(r"(API\d+)\b", row[0]))}
    assert named == {f"API{number}" for number in range(1, 11)}


def test_every_role_of_a_caller_has_a_row() -> None:
    assert {row[0].strip("`") for row in rows("Roles")} == set(matrix.ROLES)
