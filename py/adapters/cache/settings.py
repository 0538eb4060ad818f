"""Settings of the cache adapter: environment variables HUB_<FIELD>, or a JSON file.

HUB_CACHE_SETTINGS names the file; its values override the environment.
"""

from typing import ClassVar

from pydantic import Field, SecretStr

from adapters.common.settings import ServerSettings


class Settings(ServerSettings):
    """The settings of the adapter."""

    NAME: ClassVar[str] = "cache"

    jwt_secret: SecretStr = Field(
        default=..., min_length=32, description="The gateway's HS256 key; verifies the callers' tokens"
    )
    jwt_previous_secret: SecretStr = Field(
        default=SecretStr(""),
        description="The key before it, whose tokens are accepted while `hub rotate-key` is under way",
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
