"""Settings of the WhatsApp adapter: environment variables HUB_<FIELD>, or a JSON file.

HUB_WHATSAPP_SETTINGS names the file; its values override the environment.
"""

import json
import os
from pathlib import Path
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICE_ID = UUID("0190aa00-0000-7000-8000-00000000000a")
"""`sub` of the adapter's tokens: the role `messenger` has no row in the database."""

_CREDENTIALS = (
    "whatsapp_token",
    "whatsapp_phone_number_id",
    "whatsapp_app_secret",
    "whatsapp_verify_token",
)


class Settings(BaseSettings):
    """The settings of the adapter."""

    model_config = SettingsConfigDict(env_prefix="HUB_", env_ignore_empty=True, extra="ignore")

    gateway_url: str = Field(default="http://127.0.0.1:18150", description="The hub's HTTP API")
    jwt_secret: SecretStr = Field(
        default=..., min_length=32, description="The gateway's HS256 key; signs the adapter's own tokens"
    )
    listen_url: SecretStr = Field(
        default=SecretStr(""),
        description="Direct connection to the database, for notifications; without it the outbox is polled",
    )
    whatsapp_host: str = Field(default="127.0.0.1", description="Address of /webhook and /health")
    whatsapp_port: int = Field(default=18160, description="Port of /webhook and /health")
    whatsapp_file: Path | None = Field(
        default=None, description="JSON lines file that also receives the printed messages"
    )
    whatsapp_batch: int = Field(default=10, ge=1, le=1000, description="Messages leased by one claim")
    whatsapp_at_once: int = Field(default=8, ge=1, le=100, description="Concurrent deliveries")
    whatsapp_lease_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="Time to deliver and report a claimed message",
    )
    whatsapp_poll_seconds: float = Field(default=0.5, gt=0, description="Pause when no message is due")

    whatsapp_token: SecretStr = Field(
        default=SecretStr(""), description="Token of a system user at Meta; empty: messages are printed"
    )
    whatsapp_phone_number_id: str = Field(default="", description="Meta's id of the sending number")
    whatsapp_app_secret: SecretStr = Field(
        default=SecretStr(""), description="Secret with which Meta signs its webhooks"
    )
    whatsapp_verify_token: SecretStr = Field(
        default=SecretStr(""), description="Freely chosen; entered at Meta together with the webhook's URL"
    )
    whatsapp_graph_url: str = Field(
        default="https://graph.facebook.com", description="Meta's Graph API, or a proxy in front of it"
    )
    whatsapp_api_version: str = Field(
        default="24.0", pattern=r"^[0-9]{2}\.0$", description="Version of the Graph API"
    )
    whatsapp_language: str = Field(
        default="id", description="Language code under which the templates were submitted"
    )
    whatsapp_timeout_seconds: float = Field(default=15, gt=0, description="Time limit of a call to Meta")
    whatsapp_per_second: float = Field(
        default=70, gt=0, description="Messages per second; Meta allows 80 for a number"
    )

    smtp_host: str = Field(default="", description="SMTP server; empty: e-mails are printed")
    smtp_port: int = Field(default=587, description="Port of the SMTP server")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="Encryption of the connection"
    )
    smtp_user: str = Field(default="", description="Login at the SMTP server; empty: no login")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="Password at the SMTP server")
    smtp_sender: str = Field(
        default="Digital Hub Alfa Beauty <hub@alfabeauty.example>", description="From address of e-mails"
    )

    @classmethod
    def load(cls) -> "Settings":
        """Read the file, if one is named, and the environment. Raises ValidationError."""
        file = os.environ.get("HUB_WHATSAPP_SETTINGS")
        return cls(**json.loads(Path(file).read_text())) if file else cls()

    @property
    def has_credentials(self) -> bool:
        """Whether messages are sent over Meta's Cloud API."""
        return bool(self.whatsapp_token)

    @model_validator(mode="after")
    def _all_credentials_or_none(self) -> Self:
        given = [name for name in _CREDENTIALS if getattr(self, name)]
        if given and len(given) < len(_CREDENTIALS):
            missing = ", ".join(f"HUB_{name.upper()}" for name in _CREDENTIALS if name not in given)
            raise ValueError(f"set {missing} too, or none of the WhatsApp credentials")
        return self
