"""The configuration file and the environment."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from hub.ports import HOST
from standin.config import Config, ConfigError, load, parse_text
from tests.standin.conftest import standin_command

FILE = """
# a comment
db-uri = "postgres://me:\\"secret\\"@host/db" # another
db-schemas = "api"
server-port=3001

db-prepared-statements = false
"""


def made(tmp_path: Path, text: str, **environment: str) -> Config:
    file = tmp_path / "gateway.conf"
    file.write_text(text)
    return load(file, environment)


def test_quotes_comments_and_bare_values(tmp_path: Path) -> None:
    config = made(tmp_path, FILE)
    assert config.db_uri == 'postgres://me:"secret"@host/db'
    assert (config.db_schema, config.server_port, config.db_prepared_statements) == ("api", 3001, False)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = made(tmp_path, FILE, PGRST_SERVER_PORT="3002", PGRST_DB_ANON_ROLE="anon", HUB_LISTEN_URI="x")
    assert (config.server_port, config.db_anon_role, config.hub_listen_uri) == (3002, "anon", "x")


def test_the_environment_alone_is_sufficient() -> None:
    assert load(None, {"PGRST_DB_URI": "postgres://"}).db_schema == "public"


def test_an_unknown_key_is_a_warning(tmp_path: Path) -> None:
    config = made(tmp_path, FILE + "fast-mode = true\ndb-config = false\n")
    assert config.warnings == ("fast-mode is not known to the stand-in and is ignored",)


def test_the_secret_is_not_printed(tmp_path: Path) -> None:
    assert "s" * 40 not in repr(made(tmp_path, FILE + f'jwt-secret = "{"s" * 40}"'))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("db-schemas = a, b", "line 8"),
        ('db-schemas = "a, b"', "db-schemas"),
        ("server-port = http", "server-port"),
        ("server-port = 70000", "server-port"),
        ("db-pool = 0", "db-pool"),
        ("db-prepared-statements = maybe", "db-prepared-statements"),
        ("jwt-secret = short", "jwt-secret"),
        ('jwt-role-claim-key = ".app.role"', "jwt-role-claim-key"),
        ("openapi-mode = loud", "openapi-mode"),
        ('db-anon-role = "open', "line 8"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, line: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        made(tmp_path, FILE + line + "\n")


def test_an_invalid_line_is_named() -> None:
    with pytest.raises(ConfigError, match="line 1"):
        parse_text("db-uri")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "db-uri is missing"),
        ("db-uri = x\nserver-port = http\n", "server-port must be a whole number"),
        (None, "cannot read"),
    ],
)
def test_a_bad_configuration_is_one_line_and_code_1(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "gateway.conf"
    if text is not None:
        file.write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PGRST_")}
    done = subprocess.run(
        [*standin_command(), file], capture_output=True, text=True, timeout=30, check=False, env=environment
    )
    assert done.returncode == 1
    banner, line = done.stderr.splitlines()
    assert "STAND-IN" in banner
    assert "NEVER use it for production" in banner
    assert said in line


def test_a_port_that_is_taken_is_one_line_and_code_1(tmp_path: Path) -> None:
    file = tmp_path / "gateway.conf"
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(f"db-uri = x\nserver-host = {HOST}\nserver-port = 0\nadmin-server-port = {port}\n")
        done = subprocess.run(
            [*standin_command(), file], capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 1
    assert f"port {port}: Address already in use" in done.stderr.splitlines()[-1]
