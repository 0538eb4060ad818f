"""Settings: secrets and ports are chosen once and kept; a taken port is replaced."""

import os
import re
import socket
from pathlib import Path

import pytest

from hub import paths, settings
from hub.errors import UserError


@pytest.fixture(autouse=True)
def _no_hub_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        monkeypatch.delenv(name)


def test_secrets_are_generated_once_and_are_private(tmp_path: Path) -> None:
    first = settings.ensure(tmp_path)
    file = settings.env_file(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(first.jwt_secret) >= 32
    assert len({first.jwt_secret, first.superuser_password, first.authenticator_password}) == 3
    assert settings.ensure(tmp_path) == first
    assert f"HUB_DATABASE_URL={first.database_url.get_secret_value()}" in file.read_text()


def test_taken_default_port_is_replaced_and_the_choice_is_kept(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings.DEFAULT_PORTS["whatsapp_port"], before = port, settings.DEFAULT_PORTS["whatsapp_port"]
        try:
            chosen = settings.ensure(tmp_path).whatsapp_port
            assert chosen > port
        finally:
            settings.DEFAULT_PORTS["whatsapp_port"] = before
    assert settings.ensure(tmp_path).whatsapp_port == chosen


def test_port_that_another_program_took_is_replaced(tmp_path: Path) -> None:
    before = settings.ensure(tmp_path)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", before.postgres_port))
        taken.listen()
        moved = settings.move_taken_ports(tmp_path, ["postgres_port", "gateway_port"])
        assert moved.postgres_port != before.postgres_port
        assert moved.gateway_port == before.gateway_port
        assert f":{moved.postgres_port}/" in moved.database_url.get_secret_value()
    assert settings.ensure(tmp_path) == moved


def test_port_of_the_environment_is_never_replaced_or_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("HUB_POSTGRES_PORT", str(port))
        assert settings.ensure(tmp_path).postgres_port == port
        with pytest.raises(UserError, match=f"port {port} .HUB_POSTGRES_PORT. is taken"):
            settings.move_taken_ports(tmp_path, ["postgres_port"])
    assert "HUB_POSTGRES_PORT" not in settings.env_file(tmp_path).read_text()


def test_default_ports_lie_below_those_of_outgoing_connections() -> None:
    assert max(settings.DEFAULT_PORTS.values()) < 32768


def test_short_signing_secret_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", "too short")
    with pytest.raises(UserError, match="fewer than 32 characters"):
        settings.ensure(tmp_path)


def test_invalid_value_is_reported_with_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_GATEWAY", "nginx")
    with pytest.raises(UserError, match="gateway"):
        settings.read(tmp_path)


def test_only_the_settings_modules_read_the_environment() -> None:
    readers = {
        path.name
        for path in (paths.root() / "py" / "hub").rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)|import .*\b(environ|getenv)\b", path.read_text())
    }
    assert readers == {"environment.py", "settings.py"}
