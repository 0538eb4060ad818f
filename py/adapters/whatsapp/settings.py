"""What the adapter is told: HUB_<FIELD> of the environment, or the JSON file HUB_WHATSAPP_SETTINGS."""

import json
import os
from pathlib import Path
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICE_ID = UUID("0190aa00-0000-7000-8000-00000000000a")
"""`sub` of the adapter's tokens: messengers are services, no rows."""

_CREDENTIALS = (
    "whatsapp_token",
    "whatsapp_phone_number_id",
    "whatsapp_app_secret",
    "whatsapp_verify_token",
)


class Settings(BaseSettings):
    """Everything that the adapter is told."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore")

    gateway_url: str = "http://127.0.0.1:38150"
    jwt_secret: str = Field(default=..., min_length=32, description="HS256: mints the adapter's own tokens")
    listen_url: str = Field(
        default="",
        description="Direct connection to the database, to be woken; without it the outbox is polled",
    )
    whatsapp_host: str = "127.0.0.1"
    whatsapp_port: int = 38160
    whatsapp_file: Path | None = Field(default=None, description="Console delivery: JSON lines go there too")
    whatsapp_batch: int = Field(default=10, ge=1, le=1000, description="Messages in one claim")
    whatsapp_at_once: int = Field(default=8, ge=1, le=100, description="Deliveries under way at once")
    whatsapp_lease_seconds: int = Field(default=60, ge=1, le=3600)
    whatsapp_poll_seconds: float = Field(default=0.5, gt=0, description="Pause when nothing is due")

    whatsapp_token: str = Field(
        default="", description="Of a system user at Meta; empty: messages are printed"
    )
    whatsapp_phone_number_id: str = Field(default="", description="Meta's id of the sending number")
    whatsapp_app_secret: str = Field(default="", description="Signs what Meta's webhooks bring")
    whatsapp_verify_token: str = Field(
        default="", description="Chosen by us, told to Meta with the webhook's URL"
    )
    whatsapp_graph_url: str = "https://graph.facebook.com"
    whatsapp_api_version: str = Field(
        default="24.0", pattern=r"^[0-9]{2}\.0$", description="Of the Graph API"
    )
    whatsapp_language: str = Field(
        default="id", description="Language under which the templates were submitted"
    )
    whatsapp_timeout_seconds: float = Field(default=15, gt=0)
    whatsapp_per_second: float = Field(default=70, gt=0, description="Meta allows 80 to a number")

    smtp_host: str = Field(default="", description="Empty: e-mails are printed")
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_sender: str = "Digital Hub Alfa Beauty <hub@alfabeauty.example>"

    @classmethod
    def told(cls) -> "Settings":
        """From the file, if one is named, and the environment. Raises ValidationError."""
        file = os.environ.get("HUB_WHATSAPP_SETTINGS")
        return cls(**json.loads(Path(file).read_text())) if file else cls()

    @property
    def has_credentials(self) -> bool:
        """Whether messages go out over Meta's Cloud API."""
        return bool(self.whatsapp_token)

    @model_validator(mode="after")
    def _all_credentials_or_none(self) -> Self:
        given = [name for name in _CREDENTIALS if getattr(self, name)]
        if given and len(given) < len(_CREDENTIALS):
            missing = ", ".join(f"HUB_{name.upper()}" for name in _CREDENTIALS if name not in given)
            raise ValueError(f"{missing}: missing beside the other WhatsApp credentials")
        return self
