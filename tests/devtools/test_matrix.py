"""`hub dev matrix`: what it finds on a machine, which pairs it tests, and how it ends."""

import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from devtools import matrix
from devtools.matrix import environments, machine, results
from devtools.matrix.machine import Interpreter
from hub import paths, postgres
from hub.errors import UserError
from hub.osuser import Account
from hub.postgres import Server

SAMPLE = """\
import os, pytest
def test_passes(): assert os.environ["HUB_PG_BIN"] == {bin_dir!r}
def test_has_a_cluster_of_its_own(): assert "matrix-17-" in os.environ["HUB_DATA_DIR"]
@pytest.mark.skip
def test_is_skipped(): pass
"""


def program(path: Path, answer: str) -> Path:
    """A program that prints `answer`, whatever it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def server(folder: Path, version: str, cron: str = "") -> Path:
    """The folder of programs of a server; returns it."""
    program(folder / "bin" / "postgres", f"postgres (PostgreSQL) {version}")
    if cron:
        control = folder / "share" / "extension" / "pg_cron.control"
        control.parent.mkdir(parents=True)
        control.write_text(f"comment = 'Job scheduler'\ndefault_version = '{cron}'\n")
    return folder / "bin"


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """A machine with Debian's 15 and 17, and 14, 16 and a beta of 19 elsewhere."""
    debian = tmp_path / "postgresql"
    server(debian / "15", "15.14 (Debian 15.14-0+deb12u1)", "1.4-1")
    server(debian / "17", "17.6", "1.6")
    others = [server(tmp_path / v, v) for v in ("14.19", "16.10", "19beta1")]
    monkeypatch.setattr(postgres, "_DEBIAN", debian)
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.delenv("HUB_PG_BIN", raising=False)
    monkeypatch.setenv("HUB_PG_BINS", ":".join(map(str, others)))
    return machine.servers()


@pytest.fixture
def own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of the test run under its own account, which can enter its folders."""
    own = Account("own", os.geteuid(), os.getegid(), "/")
    monkeypatch.setattr(machine, "server_account", lambda: own)


@pytest.fixture
def interpreters() -> list[Interpreter]:
    """The present Python and two others."""
    others = [Interpreter(Path(f"/python{n}"), f"3.{n}.1") for n in (98, 99)]
    return [machine.present(machine.interpreters()), *others]


def test_servers_are_found_with_their_versions_and_pg_cron(servers: list[Server]) -> None:
    assert [(one.version, machine.jobs(one)) for one in servers] == [
        ("15.14", "with pg_cron 1.4-1"),
        ("16.10", "without jobs"),
        ("17.6", "with pg_cron 1.6"),
        ("19beta1", "without jobs"),
    ]
    assert machine.default(servers).version == "17.6"
    assert len({machine.data_folder(one) for one in servers}) == len(servers)


def test_machine_without_a_server_is_an_error(servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_PG_BIN", "/nonexistent")
    with pytest.raises(UserError, match="no PostgreSQL server found"):
        machine.servers()


@pytest.mark.usefixtures("own_account")
def test_usable_pythons_are_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = machine.present(machine.interpreters())
    other = next(version for version in machine.PYTHONS if version != present.minor)
    folders = [tmp_path / name for name in ("broken", "works", "later")]
    monkeypatch.setattr("os.get_exec_path", lambda: [str(folder) for folder in folders])
    program(folders[0] / f"python{other}", "")
    works = program(folders[1] / f"python{other}", f"{other}.7")
    program(folders[2] / f"python{other}", f"{other}.9")
    assert sorted(machine.interpreters(), key=str) == sorted(
        [present, Interpreter(works, f"{other}.7")], key=str
    )


def test_each_server_meets_the_present_python_and_each_python_the_default_server(
    servers: list[Server], interpreters: list[Interpreter]
) -> None:
    def pairs(*options: list[str]) -> list[tuple[int, str]]:
        chosen = matrix.choose(servers, interpreters, *options)
        return [(one.major, python.minor) for one, python in chosen]

    here = interpreters[0].minor
    assert pairs() == [(15, here), (16, here), (17, here), (19, here), (17, "3.98"), (17, "3.99")]
    assert pairs(["16"]) == [(16, here)]
    assert pairs([], ["3.99"]) == [(17, "3.99")]
    assert pairs(["15", "16"], ["3.98"]) == [(15, "3.98"), (16, "3.98")]
    assert pairs([str(servers[1].bin_dir)]) == [(16, here)]
    with pytest.raises(UserError, match="no PostgreSQL 14 on this machine"):
        pairs(["14"])
    with pytest.raises(UserError, match=r"no usable Python 3\.10 on this machine"):
        pairs([], ["3.10"])


def test_tests_run_on_each_server_and_the_table_counts_them(
    servers: list[Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # starts in a quarter of the time
    sample = tmp_path / "test_sample.py"
    sample.write_text(SAMPLE.format(bin_dir=str(machine.named_server(servers, "17").bin_dir)))
    arguments = [str(sample), "-p", "no:cacheprovider"]
    with pytest.raises(UserError, match="the tests FAILED on 1 of 2") as caught:
        matrix.run(arguments, postgresql=["16", "17"], python=[], quick=False)
    assert caught.value.code == 1
    *_, first, second = capfd.readouterr().out.splitlines()
    here = machine.present(machine.interpreters()).version
    assert re.fullmatch(rf"16\.10 +without jobs +{here} +0 +2 +1 +\d+ s +1 *", first)
    assert re.fullmatch(rf"17\.6 +1\.6 +{here} +2 +0 +1 +\d+ s +0 *", second)


@pytest.mark.usefixtures("own_account")
def test_python_whose_packages_cannot_be_installed_fails_alone(
    servers: list[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "base", lambda: tmp_path / "environments")
    fails = tmp_path / "fails" / "python"
    fails.parent.mkdir()
    fails.write_text("#!/bin/sh\n[ $1 = -c ] && echo 3.99.1 || exit 1\n")
    fails.chmod(0o755)
    with pytest.raises(UserError, match="FAILED on 1 of 1"):
        matrix.run([], postgresql=[], python=[str(fails)], quick=False)


def test_table_fits_a_terminal_of_80_columns(servers: list[Server]) -> None:
    outcomes = [
        results.Outcome(one, Interpreter(Path("/python"), "3.13.5"), 671.2, 0, passed=4321, skipped=12)
        for one in servers
    ]
    console = Console(width=80)
    with console.capture() as shown:
        console.print(results.table(outcomes))
    assert "\n19beta1      without jobs   3.13.5     4321        0        12   671 s      0" in shown.get()


def test_quick_selection_exists() -> None:
    assert [name for name in matrix.QUICK if not (paths.root() / name).exists()] == []
