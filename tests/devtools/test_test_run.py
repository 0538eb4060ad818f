"""`hub test`: what it runs, and how it ends."""

from collections.abc import Sequence

import pytest

from devtools import test_run
from hub.errors import UserError

Commands = dict[str, tuple[str, ...]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """What is run, by name; nothing is, and everything succeeds."""
    recorded: Commands = {}

    def run(name: str, command: Sequence[str]) -> bool:
        recorded[name] = tuple(command)
        return True

    monkeypatch.setattr(test_run, "_run", run)
    return recorded


def test_all_linters_and_all_tests_run_without_arguments(commands: Commands) -> None:
    test_run.test([], lint=True)
    assert [name for name in commands if name != "pytest"] == list(test_run.LINTERS)
    selection = [argument for argument in commands["pytest"] if "tests" in argument]
    assert selection == []


def test_arguments_select_tests(commands: Commands) -> None:
    test_run.test(["tests/stack", "-x"], lint=False)
    assert commands == {"pytest": ("-m", "pytest", "tests/stack", "-x")}


def test_all_failures_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = {"mypy --strict", "pytest"}
    monkeypatch.setattr(test_run, "_run", lambda name, _: name not in failing)
    with pytest.raises(UserError, match="mypy --strict, pytest"):
        test_run.test([], lint=True)
