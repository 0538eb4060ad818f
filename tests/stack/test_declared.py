"""Programs that tools declare for the stack by files in the data folder."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from hub import settings
from hub.errors import UserError
from hub.stack import declared
from hub.stack.declared import DeclaredProgram
from hub.stack.layout import Stack
from hub.stack.programs import ADAPTERS, Program

SANDBOX = DeclaredProgram(
    name="sandbox",
    command=["/bin/sandbox", "--port", "1"],
    port=1,
    account="python",
    url="http://127.0.0.1:1",
    settings={"erp_kind": "csv", "erp_folder": "/nowhere", "smtp_host": "mail"},
)


def erp_adapter(folder: Path) -> Program | None:
    """The ERP adapter of a stack in this folder, if the stack runs one."""
    stack = Stack(folder, settings.Settings(jwt_secret=SecretStr("s" * 40)))
    stack.prepare()
    return next((found for adapter in ADAPTERS if (found := adapter(stack)) and found.name == "erp"), None)


def test_declared_program_is_read_as_written_and_private(tmp_path: Path) -> None:
    assert declared.read(tmp_path) == []
    file = SANDBOX.write(tmp_path)
    assert declared.read(tmp_path) == [SANDBOX]
    assert file.stat().st_mode & 0o777 == 0o600


def test_declared_settings_reach_only_the_adapter_of_their_prefix(tmp_path: Path) -> None:
    SANDBOX.write(tmp_path)
    assert declared.adapter_settings(tmp_path, "ERP") == {"erp_kind": "csv", "erp_folder": "/nowhere"}
    assert declared.adapter_settings(tmp_path, "WHATSAPP", "SMTP") == {"smtp_host": "mail"}


def test_erp_adapter_runs_when_a_declared_program_names_an_erp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert erp_adapter(tmp_path) is None
    SANDBOX.write(tmp_path)
    assert erp_adapter(tmp_path)
    written = json.loads((tmp_path / "run" / "erp.json").read_text())
    assert (written["erp_kind"], written["erp_folder"]) == ("csv", "/nowhere")
    monkeypatch.setenv("HUB_ERP_FOLDER", "/elsewhere")
    assert erp_adapter(tmp_path)
    assert json.loads((tmp_path / "run" / "erp.json").read_text())["erp_folder"] == "/elsewhere"


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"name": "x"}', '{"name": "y", "command": ["y"], "port": 1}'],
    ids=["no-json", "no-object", "incomplete", "other-name"],
)
def test_invalid_declaration_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    file = declared.file_of(tmp_path, "x")
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UserError, match=r"x\.json declares"):
        declared.read(tmp_path)


def test_declared_program_cannot_take_a_name_of_the_stack(tmp_path: Path) -> None:
    DeclaredProgram(name="gateway", command=["x"], port=1).write(tmp_path)
    with pytest.raises(UserError, match="'gateway'"):
        declared.read(tmp_path)
