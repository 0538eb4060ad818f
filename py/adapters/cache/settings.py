"""Settings of the cache adapter: environment variables HUB_<FIELD>, or a JSON file.

HUB_CACHE_SETTINGS names the file; its values override the environment.
"""

import json
import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings of the adapter."""

    model_config = SettingsConfigDict(env_prefix="HUB_", env_ignore_empty=True, extra="ignore")

    jwt_secret: SecretStr = Field(
        default=..., min_length=32, description="The gateway's HS256 key; verifies the callers' tokens"
    )
    cache_database_url: SecretStr = Field(
        default=...,
        min_length=1,
        description="Connection of the login `cache` to PostgreSQL's primary, or a PgBouncer from 1.21 on",
    )
    cache_host: str = Field(default="127.0.0.1", description="Address of /catalogue, /configs and /stock")
    cache_port: int = Field(default=18163, description="Port of /catalogue, /configs and /stock")
    cache_database_seconds: float = Field(
        default=2, gt=0, le=60, description="Time limit for PostgreSQL; after it the answer is 503"
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="redis://:password@host:port/0, or rediss://; empty: processes share no copies",
    )
    redis_prefix: str = Field(
        default="hub", min_length=1, description="Start of the keys in Redis; one for each database"
    )
    redis_timeout_ms: float = Field(
        default=50, gt=0, le=1000, description="Time limit of a command of Redis, in milliseconds"
    )
    redis_wait_ms: float = Field(
        default=80,
        gt=0,
        le=5000,
        description="Longest delay of a request by Redis, also while another process reads the body,"
        " in milliseconds",
    )

    @classmethod
    def load(cls) -> "Settings":
        """Read the file, if one is named, and the environment. Raises ValidationError."""
        file = os.environ.get("HUB_CACHE_SETTINGS")
        return cls(**json.loads(Path(file).read_text())) if file else cls()
