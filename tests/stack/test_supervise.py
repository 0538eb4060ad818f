"""Control of supervisord over XML-RPC, and what its programs start from."""

import xmlrpc.client
from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor.states import ProcessStates
from supervisor.xmlrpc import Faults

from hub import settings
from hub.osuser import Account
from hub.stack.layout import Stack
from hub.stack.programs import Program, compile_sources
from hub.stack.supervise import Supervisor
from hub.stack.supervisord import STEADY_SECONDS, PromptSupervisor

_PROGRAM = Program("adapter", ("/bin/false",), 1, Account("root", 0, 0, "/root"), "1")


def _supervisor(folder: Path, monkeypatch: pytest.MonkeyPatch, fault: int) -> Supervisor:
    """A supervisor whose supervisord runs and refuses to start any program with `fault`."""

    def refuse(name: str, wait: bool) -> None:
        raise xmlrpc.client.Fault(fault, name)

    (folder / "run").mkdir()
    (folder / "logs").mkdir()
    supervisor = Supervisor(Stack(folder, settings.Settings()))
    calls = SimpleNamespace(
        getIdentification=lambda: str(folder),
        reloadConfig=lambda: [[[], [], []]],
        getAllProcessInfo=lambda: [{"name": "adapter", "statename": "STOPPED"}],
        startProcess=refuse,
    )
    monkeypatch.setattr(supervisor, "_rpc", SimpleNamespace(supervisor=calls))
    return supervisor


def test_program_that_ends_at_once_is_left_to_the_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = _supervisor(tmp_path, monkeypatch, Faults.SPAWN_ERROR)
    assert supervisor.bring_up([_PROGRAM]) == ["adapter"]


def test_other_fault_of_a_start_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = _supervisor(tmp_path, monkeypatch, Faults.NOT_EXECUTABLE)
    with pytest.raises(xmlrpc.client.Fault):
        supervisor.bring_up([_PROGRAM])


def test_program_that_ran_steadily_starts_again_at_once_and_another_after_the_pause() -> None:
    started: list[str] = []

    def ended(name: str, seconds: float, state: int = ProcessStates.EXITED) -> SimpleNamespace:
        return SimpleNamespace(
            state=state, laststart=100.0, laststop=100.0 + seconds, transition=lambda: started.append(name)
        )

    supervisor = PromptSupervisor(SimpleNamespace(waitpid=lambda: (None, None)))
    supervisor.process_groups = {
        "all": SimpleNamespace(
            processes={
                "steady": ended("steady", STEADY_SECONDS),
                "failing": ended("failing", STEADY_SECONDS - 0.1),
                "stopped": ended("stopped", 60, ProcessStates.STOPPED),
                "given up": ended("given up", 60, ProcessStates.FATAL),
            }
        )
    }
    supervisor.reap()
    assert started == ["steady"]


def test_sources_are_compiled_for_accounts_that_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "py" / "package"
    package.mkdir(parents=True)
    (package / "good.py").write_text("answer = 42\n")
    (package / "broken.py").write_text("answer = (\n")
    monkeypatch.setattr("hub.paths.root", lambda: tmp_path)
    compile_sources()
    assert [path.name.split(".")[0] for path in (package / "__pycache__").iterdir()] == ["good"]
