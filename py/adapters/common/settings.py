"""Settings that all adapters have: environment variables HUB_<FIELD>, or a JSON file.

HUB_<NAME>_SETTINGS names the file; its values override the environment.
"""

import json
import os
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from adapters.common.credentials import PREFIX, SecretFiles


class SettingsError(Exception):
    """Settings that are valid by themselves do not fit together; the text names the variables to set."""


class HubSettings(BaseSettings):
    """Settings HUB_<FIELD>; a secret may be in a file that HUB_<FIELD>_FILE names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Secrets in files go before an env file."""
        return init_settings, SecretFiles(settings_cls), env_settings, dotenv_settings


class ProgramSettings(HubSettings):
    """What every program has. A subclass sets `NAME` and adds `<name>_host` and `<name>_port`."""

    NAME: ClassVar[str]
    """The program's name: `adapters.<name>` is its package."""

    @classmethod
    def load(cls) -> Self:
        """Read the file, if one is named, and the environment. Raises ValidationError."""
        file = os.environ.get(f"HUB_{cls.NAME.upper()}_SETTINGS")
        return cls(**json.loads(Path(file).read_text())) if file else cls()

    @property
    def host(self) -> str:
        """The address to listen at."""
        return str(getattr(self, f"{self.NAME}_host"))

    @property
    def port(self) -> int:
        """The port to listen at."""
        return int(getattr(self, f"{self.NAME}_port"))


class ServerSettings(ProgramSettings):
    """The settings of an adapter that knows the gateway's key."""

    jwt_secret: SecretStr = Field(
        default=..., min_length=32, description="The gateway's HS256 key; signs the adapter's own tokens"
    )


class AdapterSettings(ServerSettings):
    """The settings of an adapter that calls the gateway."""

    gateway_url: str = Field(default="http://127.0.0.1:18150", description="The hub's HTTP API")
    listen_url: SecretStr = Field(
        default=SecretStr(""), description="Direct connection to the database, for notifications"
    )
