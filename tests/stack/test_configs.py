"""Generated configuration files."""

import configparser
import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from hub import settings
from hub.errors import UserError
from hub.osuser import Account, server_account
from hub.stack import pgbouncer, supervise
from hub.stack.gateway import GatewayConfig
from hub.stack.layout import Stack
from hub.stack.programs import Program

CONFIG = GatewayConfig("postgresql://a:b@127.0.0.1:1/hub", "postgresql://a:b@127.0.0.1:2/hub", "s" * 40, 3, 4)


def _parsed(text: str) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in text.splitlines())


def test_postgrest_behind_the_pooler_neither_prepares_nor_listens() -> None:
    values = _parsed(CONFIG.text("postgrest"))
    assert values["db-prepared-statements"] == "false"
    assert values["db-channel-enabled"] == "false"
    assert "hub-listen-uri" not in values
    assert values["db-schemas"] == '"api"'
    assert values["db-anon-role"] == '"anon"'
    assert values["db-pre-request"] == '"auth.request_guard"'
    assert (values["server-host"], values["server-port"]) == ('"127.0.0.1"', "3")


def test_standin_listens_on_a_direct_connection() -> None:
    values = _parsed(CONFIG.text("standin"))
    assert values["db-channel-enabled"] == "true"
    assert values["hub-listen-uri"] == '"postgresql://a:b@127.0.0.1:2/hub"'


def test_gateway_configuration_quotes_secrets() -> None:
    text = replace(CONFIG, jwt_secret='quote " and \\ backslash, long enough').text("postgrest")
    assert 'jwt-secret = "quote \\" and \\\\ backslash, long enough"' in text


def test_gateway_configuration_is_readable_by_its_account_only(tmp_path: Path) -> None:
    path = tmp_path / "gateway.conf"
    me = server_account() if os.geteuid() else Account("root", 0, 0, "/root")
    assert CONFIG.write(path, "standin", me)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not CONFIG.write(path, "standin", me)


def test_pgbouncer_pools_transactions_on_loopback(tmp_path: Path) -> None:
    chosen = settings.Settings(authenticator_password=SecretStr('a"b'), supervisor_password=SecretStr("c"))
    parser = configparser.ConfigParser()
    parser.read_string(pgbouncer.ini(chosen, tmp_path / "users.txt"))
    assert parser["pgbouncer"]["pool_mode"] == "transaction"
    assert parser["pgbouncer"]["listen_addr"] == "127.0.0.1"
    assert parser["pgbouncer"]["auth_type"] == "scram-sha-256"
    assert f"port={chosen.postgres_port}" in parser["databases"][chosen.database]
    assert pgbouncer.userlist(chosen) == '"authenticator" "a""b"\n"hub_admin" "c"\n'


def test_supervisord_configuration_contains_every_program(tmp_path: Path) -> None:
    stack = Stack(tmp_path, settings.Settings(supervisor_password=SecretStr("50%")))
    program = Program("one", ("/bin/echo", "two words"), 1, stack.account, "v1", environment={"A": 'x"%y'})
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parser.read_string(supervise.config(stack, [program]))
    assert parser["inet_http_server"]["port"].startswith("127.0.0.1:")
    assert parser["inet_http_server"]["password"] == "50%%"
    section = parser["program:one"]
    assert section["command"] == "/bin/echo 'two words'"
    assert section["autorestart"] == "true"
    assert f'HUB_STACK="{tmp_path}"' in section["environment"]
    assert 'A="x\\"%%y"' in section["environment"]


def test_path_that_supervisord_would_misread_is_refused(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "odd ;name", settings.Settings())
    with pytest.raises(UserError, match=r"supervisord\.conf cannot contain"):
        supervise.config(stack, [])
