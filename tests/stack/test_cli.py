"""Small commands."""

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


def test_a_token_has_whole_seconds_and_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", SECRET)
    done = CliRunner().invoke(app, ["token", "partner", "--sub", "0190", "--minutes", "0.5"])
    assert done.exit_code == 0
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["role"], claims["sub"]) == ("partner", "0190")
    assert isinstance(claims["exp"], int)
    assert claims["exp"] - claims["iat"] == 30


def test_an_unknown_role_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", SECRET)
    done = CliRunner().invoke(app, ["token", "king"])
    assert done.exit_code == 1


def test_further_claims_are_kept() -> None:
    claims = jwt.decode(mint(SECRET, "partner", "p", act={"sub": "a"}, sid="s"), SECRET, algorithms=["HS256"])
    assert (claims["act"], claims["sid"]) == ({"sub": "a"}, "s")


def test_help_is_quick_and_names_every_command() -> None:
    """No driver, no library of a single command is loaded for it."""
    code = (
        "import sys; from hub.cli import app; from typer.testing import CliRunner;"
        "print(CliRunner().invoke(app, ['--help']).stdout);"
        "print([m for m in ('psycopg', 'httpx', 'yoyo', 'litestar', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for command in ("up", "down", "migrate", "doctor", "demo", "jobs"):
        assert f" {command} " in done.stdout


def test_a_missing_module_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        call("hub.nowhere", "run")
    assert caught.value.exit_code == 1
    assert "this checkout has no hub.nowhere" in capsys.readouterr().err
