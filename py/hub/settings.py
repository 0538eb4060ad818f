"""Settings: the environment (HUB_...) over the data folder's hub.env, made once with fresh secrets."""

import os
import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from hub import paths
from hub.errors import UserError
from hub.ports import HOST, is_free, next_free

DEFAULT_PORTS = {
    "postgres_port": 54815,
    "pgbouncer_port": 64815,
    "gateway_port": 38150,
    "gateway_admin_port": 38155,
    "supervisor_port": 38159,
    "whatsapp_port": 38160,
    "erp_port": 38161,
}
"""Loopback ports; where one is taken, the next free one is kept in hub.env. Adapters count up from 38160."""

_FILE = "hub.env"


class Settings(BaseSettings):
    """Everything that a stack is told; each field is the environment variable HUB_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore")

    database: str = "hub"
    postgres_port: int = DEFAULT_PORTS["postgres_port"]
    pgbouncer_port: int = DEFAULT_PORTS["pgbouncer_port"]
    gateway_port: int = DEFAULT_PORTS["gateway_port"]
    gateway_admin_port: int = DEFAULT_PORTS["gateway_admin_port"]
    supervisor_port: int = DEFAULT_PORTS["supervisor_port"]
    whatsapp_port: int = DEFAULT_PORTS["whatsapp_port"]
    erp_port: int = DEFAULT_PORTS["erp_port"]
    superuser_password: str = ""
    authenticator_password: str = ""
    supervisor_password: str = ""
    jwt_secret: str = Field(default="", description="HS256, 32 characters or more")
    gateway: Literal["auto", "postgrest", "standin"] = "auto"
    database_url: str = Field(
        default="", description="Direct connection of a superuser, or the database's owner"
    )

    @property
    def gateway_url(self) -> str:
        """Base URL of the HTTP front door."""
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def authenticator_url(self) -> str:
        """What PostgREST connects to: PgBouncer, as authenticator."""
        return f"postgresql://authenticator:{self.authenticator_password}@{HOST}:{self.pgbouncer_port}/{self.database}"

    @property
    def listen_url(self) -> str:
        """The same database without the pooler: LISTEN does not work through transaction pooling."""
        return f"postgresql://authenticator:{self.authenticator_password}@{HOST}:{self.postgres_port}/{self.database}"


def env_file(folder: Path) -> Path:
    """The file with the stack's secrets and ports."""
    return folder / _FILE


def read(folder: Path | None = None) -> Settings:
    """The settings as they stand, stack or no stack. Raises UserError for bad values."""
    try:
        file = env_file(folder or paths.data_dir())
        return Settings(_env_file=file if file.exists() else None)  # type: ignore[call-arg]
    except ValueError as error:
        raise UserError(
            f"a setting is wrong: {error}", hint="see the HUB_... variables of your environment"
        ) from None
    except PermissionError as error:
        raise UserError(f"cannot read {error.filename}", hint="run as the user who ran ./hub up") from None


def from_environment() -> Settings:
    """The settings of the environment alone. Raises UserError for bad values."""
    return read(Path("/nonexistent"))


def adapter(folder: Path, *prefixes: str) -> dict[str, str]:
    """What an adapter is told: HUB_<PREFIX>_... of the environment over what somebody wrote into hub.env.

    Returns the names of the fields with their values. One that is set to nothing counts as not set.
    """
    wanted = tuple(f"HUB_{prefix}_" for prefix in prefixes)
    told = _parse(env_file(folder)) | dict(os.environ)
    return {
        name.removeprefix("HUB_").lower(): value
        for name, value in sorted(told.items())
        if name.startswith(wanted) and value
    }


def ensure(folder: Path) -> Settings:
    """The settings of the stack in `folder`; what is missing is chosen now and kept (mode 0600)."""
    kept = _parse(env_file(folder))
    fresh = {name: value for name, value in _new_values(kept).items() if name not in kept}
    settings = _keep(folder, kept | fresh, write=bool(fresh))
    if len(settings.jwt_secret) < 32:
        raise UserError("HUB_JWT_SECRET has fewer than 32 characters", hint="unset it, or use a longer one")
    return settings


def move_taken_ports(folder: Path, fields: list[str]) -> Settings:
    """Give each of these ports that another program took meanwhile a free number; the choice is kept.

    Raises UserError for a taken port that the environment demands.
    """
    kept = _parse(env_file(folder))
    settings = read(folder)
    taken = {int(value) for name, value in kept.items() if name.endswith("_PORT")}
    moved = {}
    for field in fields:
        name, port = f"HUB_{field.upper()}", int(getattr(settings, field))
        if is_free(port):
            continue
        if name in os.environ:
            raise UserError(
                f"port {port} ({name}) is taken by another program", hint="choose another, or unset it"
            )
        moved[name] = str(next_free(DEFAULT_PORTS[field], taken))
        taken.add(int(moved[name]))
    return _keep(folder, kept | moved, write=bool(moved))


def _keep(folder: Path, values: dict[str, str], *, write: bool) -> Settings:
    """Write hub.env if need be; returns the settings that follow from it and the environment."""
    file = env_file(folder)
    if write:
        making = file.with_suffix(".making")
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write("# Made by `hub up`. Environment variables of the same names win.\n" + text)
        making.replace(file)
    settings = read(folder)
    if "HUB_DATABASE_URL" in os.environ:
        return settings
    settings.database_url = f"postgresql://postgres:{settings.superuser_password}@{HOST}:{settings.postgres_port}/{settings.database}"
    if values.get("HUB_DATABASE_URL") != settings.database_url:
        return _keep(folder, values | {"HUB_DATABASE_URL": settings.database_url}, write=True)
    return settings


def _parse(file: Path) -> dict[str, str]:
    try:
        text = file.read_text() if file.exists() else ""
    except PermissionError:
        raise UserError(f"cannot read {file}", hint="run as the user who ran ./hub up") from None
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _new_values(kept: dict[str, str]) -> dict[str, str]:
    """Values for what hub.env lacks. A port from the environment is this run's matter and is not kept."""
    values: dict[str, str] = {}
    taken = {int(value) for name, value in kept.items() if name.endswith("_PORT")}
    for field, default in DEFAULT_PORTS.items():
        name = f"HUB_{field.upper()}"
        if name not in kept and name not in os.environ:
            port = next_free(default, taken)
            taken.add(port)
            values[name] = str(port)
    for name in ("HUB_SUPERUSER_PASSWORD", "HUB_AUTHENTICATOR_PASSWORD", "HUB_SUPERVISOR_PASSWORD"):
        values[name] = secrets.token_urlsafe(24)
    values["HUB_JWT_SECRET"] = secrets.token_urlsafe(48)
    return values
