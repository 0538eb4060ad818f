"""`hub test`: what it runs, and how it ends."""

import threading
import time
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

    def capture(command: Sequence[str]) -> tuple[bool, str]:
        name = next((name for name, known in test_run.LINTERS.items() if known == command), "unknown")
        return run(name, command), ""

    monkeypatch.setattr(test_run, "_run", run)
    monkeypatch.setattr(test_run, "_capture", capture)
    return recorded


def test_all_linters_and_all_tests_run_without_arguments(commands: Commands) -> None:
    test_run.test([], lint=True)
    assert [name for name in commands if name != "pytest"] == list(test_run.LINTERS)
    selection = [argument for argument in commands["pytest"] if "tests" in argument]
    assert selection == []


def test_arguments_select_tests(commands: Commands) -> None:
    test_run.test(["tests/stack", "-x"], lint=False)
    assert commands == {"pytest": ("-m", "pytest", "tests/stack", "-x")}


def test_all_failures_are_named_after_their_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(test_run, "_run", lambda *_: False)
    python = {"first": "print(1)", "second": "import sys; print(2); sys.exit(2)", "third": "print(3)"}
    monkeypatch.setattr(test_run, "LINTERS", {name: ("-c", script) for name, script in python.items()})
    with pytest.raises(UserError, match="pytest, second "):
        test_run.test([], lint=True)
    shown = capsys.readouterr().out
    assert [word for word in shown.split() if word.isalnum()] == ["first", "1", "second", "2", "third", "3"]


def test_interrupted_run_starts_no_further_linter(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Sequence[str]] = []
    pytest_runs = threading.Event()

    def capture(command: Sequence[str]) -> tuple[bool, str]:
        started.append(command)
        pytest_runs.wait(10)
        time.sleep(0.2)  # the interrupted run must not wait for this one
        return True, ""

    def interrupt(*_: object) -> bool:
        pytest_runs.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(test_run, "_capture", capture)
    monkeypatch.setattr(test_run, "_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        test_run.test([], lint=True)
    assert started == [test_run.LINTERS["ruff check"]]
