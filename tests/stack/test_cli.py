"""Small commands."""

import subprocess
import sys

import jwt
import pytest
import typer
from typer.testing import CliRunner

from adapters.common.tokens import mint
from devtools.docs import snapshot
from hub.cli import app
from hub.dispatch import call
from hub.errors import UserError

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


def test_the_snapshot_leaves_out_what_differs_between_dumps() -> None:
    dump = (
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict x1\n\n-- Dumped by pg_dump version 15.18\n\n"
        "SET lock_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\n\n\n"
        "CREATE TABLE app.a ();  \n\n\n\nCREATE TABLE app.b ();\n\n\\unrestrict x1\n"
    )
    body = snapshot.normalised(dump).split("\n\n", 1)[1]
    assert body == "CREATE TABLE app.a ();\n\nCREATE TABLE app.b ();\n"


def test_the_table_goes_between_its_markers() -> None:
    page = f"before\n{snapshot.BEGIN}\nold\n{snapshot.END}\nafter\n"
    assert snapshot.with_errors(page, "new") == f"before\n{snapshot.BEGIN}\nnew\n{snapshot.END}\nafter\n"
    with pytest.raises(UserError, match="lacks"):
        snapshot.with_errors("no markers", "new")
