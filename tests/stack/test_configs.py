"""Generated configuration files."""

import configparser
import os
import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from devtools.pooling.load import CLIENT_SECONDS
from hub import paths, settings
from hub.cluster import Cluster, cron_settings
from hub.doctor import database
from hub.errors import UserError
from hub.osuser import Account, server_account
from hub.stack import gateway, pgbouncer, supervise
from hub.stack.gateway import Gateway, GatewayConfig
from hub.stack.layout import Stack
from hub.stack.programs import Program, programs

CONFIG = GatewayConfig("postgresql://a:b@127.0.0.1:1/hub", "s" * 40, 3, 4)


def _parsed(text: str) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in text.splitlines())


def test_gateway_prepares_statements_and_listens_for_migrations() -> None:
    values = _parsed(CONFIG.text())
    assert values["db-prepared-statements"] == "true"
    assert values["db-channel-enabled"] == "true"
    assert values["db-schemas"] == '"api"'
    assert values["db-anon-role"] == '"anon"'
    assert values["db-pre-request"] == '"auth.request_guard"'
    assert (values["server-host"], values["server-port"]) == ('"127.0.0.1"', "3")


def test_gateway_connects_to_postgresql_itself_and_other_clients_to_pgbouncer(tmp_path: Path) -> None:
    chosen = settings.Settings(postgres_port=1, pgbouncer_port=2, authenticator_password=SecretStr("a/b@c"))
    stack = Stack(tmp_path, chosen)
    stack.prepare()
    gateway = next(p for p in programs(stack, Gateway("standin", ("/bin/true",), "")) if p.name == "gateway")
    values = _parsed(Path(gateway.command[-1]).read_text())
    assert values["db-uri"] == '"postgresql://authenticator:a%2Fb%40c@127.0.0.1:1/hub"'
    assert chosen.pooled_url == "postgresql://authenticator:a%2Fb%40c@127.0.0.1:2/hub"


def test_pools_fit_into_the_connections_of_postgresql(cluster: Cluster) -> None:
    """The stack leaves max_connections at PostgreSQL's default of 100, three of them for superusers."""
    assert "max_connections" not in cron_settings("hub")
    assert database.CONNECTIONS <= 100 - 3
    with psycopg.connect(cluster.url()) as conn:
        finding = database.connections(conn)
    assert finding.passed
    assert finding.text == f"PostgreSQL accepts 197 connections; the stack uses up to {database.CONNECTIONS}"


def test_gateway_configuration_quotes_secrets() -> None:
    text = replace(CONFIG, jwt_secret='quote " and \\ backslash, long enough').text()
    assert 'jwt-secret = "quote \\" and \\\\ backslash, long enough"' in text


def test_gateway_configuration_is_readable_by_its_account_only(tmp_path: Path) -> None:
    path = tmp_path / "gateway.conf"
    me = server_account() if os.geteuid() else Account("root", 0, 0, "/root")
    assert CONFIG.write(path, me)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not CONFIG.write(path, me)


def test_pgbouncer_pools_transactions_on_loopback(tmp_path: Path) -> None:
    chosen = settings.Settings(authenticator_password=SecretStr('a"b'), supervisor_password=SecretStr("c"))
    parser = configparser.ConfigParser()
    parser.read_string(pgbouncer.ini(chosen, tmp_path / "users.txt"))
    assert parser["pgbouncer"]["pool_mode"] == "transaction"
    assert parser["pgbouncer"]["listen_addr"] == "127.0.0.1"
    assert parser["pgbouncer"]["auth_type"] == "scram-sha-256"
    assert f"port={chosen.postgres_port}" in parser["databases"][chosen.database]
    assert pgbouncer.userlist(chosen) == '"authenticator" "a""b"\n"hub_admin" "c"\n'


@pytest.mark.parametrize(("version", "keeps"), [("1.18.0", False), ("1.21.0", True), ("1.25.1", True)])
def test_pgbouncer_keeps_prepared_statements_where_its_version_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, keeps: bool
) -> None:
    """An older version does not start with a setting that it does not know."""
    program = tmp_path / "pgbouncer"
    program.write_text(f"#!/bin/sh\necho PgBouncer {version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    me = server_account() if os.geteuid() else Account("root", 0, 0, "/root")
    config = pgbouncer.write(tmp_path, settings.Settings(), me)
    assert ("max_prepared_statements" in config.read_text()) == keeps


def test_waiting_clients_are_answered_before_their_own_time_ends() -> None:
    """A client waits longer than a request can wait for connections and run."""
    roles = (paths.sql_root() / "roles.sql").read_text()
    statement = max(int(seconds) for seconds in re.findall(r"statement_timeout=(\d+)s", roles))
    longest = gateway.WAIT_SECONDS + pgbouncer.WAIT_SECONDS + statement
    assert longest <= CLIENT_SECONDS
    errors = (paths.root() / "docs/api/errors.md").read_text()
    assert f"Set the time limit of a client to {CLIENT_SECONDS} seconds" in errors


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
