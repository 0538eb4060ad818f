"""What the adapter is told: environment variables HUB_<FIELD>."""

from pathlib import Path
from uuid import UUID

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICE_ID = UUID("0190aa00-0000-7000-8000-00000000000a")
"""`sub` of the adapter's tokens: messengers are services, no rows."""


class Settings(BaseSettings):
    """Everything that the adapter is told."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore")

    gateway_url: str = "http://127.0.0.1:38150"
    jwt_secret: str = Field(default=..., min_length=32, description="HS256: mints the adapter's own tokens")
    whatsapp_host: str = "127.0.0.1"
    whatsapp_port: int = 38160
    whatsapp_file: Path | None = Field(default=None, description="Console delivery: JSON lines go there too")
    whatsapp_batch: int = Field(default=10, ge=1, le=1000, description="Messages in one claim")
    whatsapp_lease_seconds: int = Field(default=60, ge=1, le=3600)
    whatsapp_poll_seconds: float = Field(default=0.5, gt=0, description="Pause when nothing is due")
