"""The command line: tokens, help, errors, generated documents."""

import subprocess
import sys

import jwt
import pytest
import typer
from typer.testing import CliRunner

from adapters.common.tokens import mint
from hub.cli import app
from hub.dispatch import call

SECRET = "s" * 40


def test_token_carries_sub_and_expires_in_whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", SECRET)
    result = CliRunner().invoke(app, ["token", "partner", "--sub", "0190", "--minutes", "0.5"])
    assert result.exit_code == 0
    claims = jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["role"], claims["sub"]) == ("partner", "0190")
    assert isinstance(claims["exp"], int)
    assert claims["exp"] - claims["iat"] == 30


def test_token_for_unknown_role_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", SECRET)
    result = CliRunner().invoke(app, ["token", "king"])
    assert result.exit_code == 1


def test_minted_token_keeps_further_claims() -> None:
    claims = jwt.decode(mint(SECRET, "partner", "p", act={"sub": "a"}, sid="s"), SECRET, algorithms=["HS256"])
    assert (claims["act"], claims["sid"]) == ({"sub": "a"}, "s")


def test_help_lists_every_command_and_loads_no_library_of_a_command() -> None:
    code = (
        "import sys; from hub.cli import app; from typer.testing import CliRunner;"
        "print(CliRunner().invoke(app, ['--help']).stdout);"
        "print([m for m in ('psycopg', 'httpx', 'yoyo', 'litestar', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for command in ("up", "down", "migrate", "doctor", "demo", "jobs"):
        assert f" {command} " in done.stdout


def test_missing_module_of_a_command_is_reported_without_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as caught:
        call("hub.nowhere", "run")
    assert caught.value.exit_code == 1
    assert "the module hub.nowhere is not installed" in capsys.readouterr().err
