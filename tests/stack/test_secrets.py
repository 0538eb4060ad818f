"""Secrets come from the environment or from files, are shown nowhere, and are none that everyone knows."""

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from adapters.common import logs, program
from adapters.common.credentials import is_published
from adapters.common.tokens import key_set
from devtools.docs.settings import CLASSES
from hub import settings
from hub.commands import keys
from hub.errors import UserError
from tests.support.test_cluster import JWT_SECRET

VALUE = "a-value-that-is-shown-nowhere-0123456789"
SETTINGS: dict[str, type[BaseSettings]] = {
    title: class_ for title, (_, class_) in CLASSES.items() if issubclass(class_, BaseSettings)
}
WORDS = ("password", "secret", "token", "database_url", "redis_url", "listen_url")


@pytest.fixture(autouse=True)
def _no_hub_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HUB_PAGES_ROOT", "/nowhere")


def secret_fields(class_: type[BaseSettings]) -> list[str]:
    return [name for name, field in class_.model_fields.items() if field.annotation is SecretStr]


def test_every_settings_class_is_known() -> None:
    """A class that reads the environment is documented, and so tested here."""
    known = {class_.__module__ for class_ in SETTINGS.values()}
    bases = {"hub.environment", "adapters.common.settings"}
    found = {
        str(path.relative_to("py").with_suffix("")).replace("/", ".")
        for path in Path("py").rglob("*.py")
        if path.parts[1] in ("hub", "adapters") and "SettingsConfigDict(" in path.read_text()
    }
    assert found <= known | bases


@pytest.mark.parametrize("title", SETTINGS)
def test_secret_setting_is_shown_nowhere(title: str, caplog: pytest.LogCaptureFixture) -> None:
    class_ = SETTINGS[title]
    secrets = secret_fields(class_)
    shown = [name for name in class_.model_fields if name not in secrets and any(w in name for w in WORDS)]
    assert shown == [], "a secret is a SecretStr"
    given: dict[str, Any] = dict.fromkeys(secrets, VALUE)
    if "whatsapp_token" in secrets:
        given["whatsapp_phone_number_id"] = "1"
    loaded = class_(**given)
    for text in (repr(loaded), str(loaded), loaded.model_dump_json(), f"{loaded!r:.2000}"):
        assert VALUE not in text
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "settings %s", (loaded,), None)
    assert VALUE not in logs.formatter().format(record)


@pytest.mark.parametrize("title", SETTINGS)
def test_secret_setting_is_read_from_a_file(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_ = SETTINGS[title]
    monkeypatch.setenv("HUB_WHATSAPP_PHONE_NUMBER_ID", "1")
    for name in secret_fields(class_):
        file = tmp_path / name
        file.write_text(f"{VALUE}-{name}\n")
        monkeypatch.setenv(f"HUB_{name.upper()}_FILE", str(file))
    loaded = class_()
    for name in secret_fields(class_):
        assert getattr(loaded, name).get_secret_value() == f"{VALUE}-{name}"


def test_secret_in_a_file_and_in_the_environment_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", VALUE)
    monkeypatch.setenv("HUB_JWT_SECRET_FILE", str(tmp_path / "missing"))
    with pytest.raises(UserError, match="HUB_JWT_SECRET or HUB_JWT_SECRET_FILE, not both"):
        settings.read(tmp_path)
    monkeypatch.delenv("HUB_JWT_SECRET")
    with pytest.raises(UserError, match="HUB_JWT_SECRET_FILE: cannot read"):
        settings.read(tmp_path)


def test_secret_file_reaches_a_supervised_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("EAA-from-a-file\n")
    monkeypatch.setenv("HUB_WHATSAPP_TOKEN_FILE", str(file))
    assert settings.read_adapter(tmp_path, "WHATSAPP")["whatsapp_token"] == "EAA-from-a-file"
    monkeypatch.setenv("HUB_WHATSAPP_TOKEN", VALUE)
    with pytest.raises(UserError, match="HUB_WHATSAPP_TOKEN or HUB_WHATSAPP_TOKEN_FILE, not both"):
        settings.read_adapter(tmp_path, "WHATSAPP")
    assert settings.read_adapter(tmp_path, "ERP") == {}, "a file of another adapter is not read"
    monkeypatch.delenv("HUB_WHATSAPP_TOKEN")
    file.unlink()
    with pytest.raises(UserError, match="HUB_WHATSAPP_TOKEN_FILE: cannot read"):
        settings.read_adapter(tmp_path, "WHATSAPP")


def test_database_url_in_a_file_names_the_database_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://owner:word@db.example/hub"
    file = tmp_path / "url"
    file.write_text(f"{url}\n")
    monkeypatch.setenv("HUB_DATABASE_URL_FILE", str(file))
    assert settings.database_url() == url
    assert settings.external_database_url(None) == url
    assert settings.ensure(tmp_path).database_url.get_secret_value() == url
    assert settings.external_database_url("postgresql://given/hub") == "postgresql://given/hub"


@pytest.mark.parametrize(
    "secret",
    ["postgres", "Password", "changeme", "please-change-me-now", "x" * 40, "your-256-bit-secret",
     "reallyreallyreallyreallyverysafe", "rahasia-2026", "<secret>", "..."],
)  # fmt: skip
def test_published_secret_is_recognised(secret: str) -> None:
    assert is_published(secret)


@pytest.mark.parametrize("secret", ["", "kJ8sd7_2hsAAkd", JWT_SECRET, "correct horse battery staple"])
def test_other_secret_is_not_taken_for_a_published_one(secret: str) -> None:
    assert not is_published(secret)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HUB_JWT_SECRET", "reallyreallyreallyreallyverysafe"), ("HUB_AUTHENTICATOR_PASSWORD", "postgres")],
)
def test_hub_does_not_start_with_a_published_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"{variable}: everyone knows this value"):
        settings.ensure(tmp_path)


@pytest.mark.parametrize("name", ["cache", "whatsapp", "erp"])
def test_adapter_does_not_start_with_a_published_secret(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (class_,) = [c for c in SETTINGS.values() if getattr(c, "NAME", "") == name]
    given = {"jwt_secret": "x" * 40, "cache_database_url": "postgresql://cache@127.0.0.1/hub"}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(given))
    monkeypatch.setenv(f"HUB_{name.upper()}_SETTINGS", str(file))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        assert program.load_settings(class_) is None  # type: ignore[type-var]
    finally:
        root.handlers[:], root.level = handlers, level
    assert "HUB_JWT_SECRET: everyone knows this value" in capfd.readouterr().err


def test_rotation_keeps_the_former_secret_until_it_is_dropped(tmp_path: Path) -> None:
    first = settings.ensure(tmp_path)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    second = settings.rotate_jwt_secret(tmp_path, until)
    assert second.jwt_secret != first.jwt_secret
    assert second.jwt_previous == (first.jwt_secret.get_secret_value(), until)
    assert len(json.loads(second.jwt_keys)["keys"]) == 2
    assert settings.ensure(tmp_path) == second
    with pytest.raises(UserError, match="a rotation is under way"):
        settings.rotate_jwt_secret(tmp_path, until)
    third = settings.drop_previous_secret(tmp_path)
    assert (third.jwt_secret, third.jwt_previous) == (second.jwt_secret, None)
    assert third.jwt_keys == third.jwt_secret.get_secret_value()
    leaked = settings.rotate_jwt_secret(tmp_path, until, accept_former=False)
    assert leaked.jwt_previous is None


def test_rotation_of_an_env_file_keeps_everything_else_in_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# secrets\nHUB_JWT_SECRET={VALUE}\nHUB_JWT_KEYS=\nHUB_SMTP_PASSWORD=a\\b$c\n")
    keys.rotate_key(drop=False, revoke=False, file=file)
    text = file.read_text()
    assert text.startswith("# secrets\nHUB_JWT_SECRET=")
    assert "HUB_SMTP_PASSWORD=a\\b$c\n" in text
    assert f"HUB_JWT_PREVIOUS_SECRET={VALUE}\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("HUB_JWT_KEYS='")]
    assert len(json.loads(line.removeprefix("HUB_JWT_KEYS=").strip("'"))["keys"]) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    for given in ({"drop": True, "revoke": False}, {"drop": False, "revoke": False}):
        with pytest.raises(UserError, match="until"):
            keys.rotate_key(file=file, **given)
    ended = "HUB_JWT_PREVIOUS_UNTIL=2026-01-01T00:00:00+00:00"
    file.write_text("\n".join(ended if "UNTIL" in row else row for row in text.splitlines()) + "\n")
    keys.rotate_key(drop=True, revoke=False, file=file)
    assert VALUE not in file.read_text()
    assert "HUB_JWT_KEYS=\n" in file.read_text()


@pytest.mark.parametrize(("profiles", "services"), [("", "cache"), ("erp,replica", "reports cache")])
def test_rotation_of_an_env_file_restarts_each_gateway_that_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], profiles: str, services: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"COMPOSE_PROFILES={profiles}\nHUB_JWT_SECRET={VALUE}\n")
    keys.rotate_key(drop=False, revoke=False, file=file)
    assert f"--no-deps postgrest {services} && " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("written", "secret"),
    [(f'"{VALUE}"  # quoted', VALUE), (r"'it\'s $HOME # and more'", "it's $HOME # and more")],
)
def test_rotation_reads_an_env_file_as_compose_does(tmp_path: Path, written: str, secret: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"HUB_JWT_SECRET={written}\n")
    keys.rotate_key(drop=False, revoke=False, file=file)
    values = dotenv_values(file, interpolate=False)
    assert values["HUB_JWT_PREVIOUS_SECRET"] == secret
    assert values["HUB_JWT_KEYS"] == key_set(str(values["HUB_JWT_SECRET"]), secret)
