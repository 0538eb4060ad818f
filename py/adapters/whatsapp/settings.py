"""Settings of the WhatsApp adapter: environment variables HUB_<FIELD>, or the file HUB_WHATSAPP_SETTINGS."""

from pathlib import Path
from typing import ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, SecretStr, model_validator

from adapters.common.settings import AdapterSettings, SettingsError

SERVICE_ID = UUID("0190aa00-0000-7000-8000-00000000000a")
"""`sub` of the adapter's tokens: the role `messenger` has no row in the database."""

_CREDENTIALS = (
    "whatsapp_token",
    "whatsapp_phone_number_id",
    "whatsapp_app_secret",
    "whatsapp_verify_token",
)


class Settings(AdapterSettings):
    """The settings of the adapter."""

    NAME: ClassVar[str] = "whatsapp"

    listen_url: SecretStr = Field(
        default=SecretStr(""),
        description="Direct connection to the database, for notifications; without it the outbox is polled",
    )
    delivery: Literal["all", "whatsapp", "email", "console"] = Field(
        default="all",
        description="Channels that are delivered, each of which needs its provider; with console, messages"
        " of a channel without a provider are printed",
    )
    whatsapp_host: str = Field(default="127.0.0.1", description="Address of /webhook and /health")
    whatsapp_port: int = Field(default=18160, description="Port of /webhook and /health")
    whatsapp_file: Path | None = Field(
        default=None, description="JSON lines file that also receives the printed messages"
    )
    whatsapp_batch: int = Field(default=10, ge=1, le=1000, description="Messages leased by one claim")
    whatsapp_at_once: int = Field(default=24, ge=1, le=100, description="Concurrent deliveries over WhatsApp")
    whatsapp_lease_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="Time to deliver and report a claimed message",
    )
    whatsapp_poll_seconds: float = Field(default=0.5, gt=0, description="Pause when no message is due")

    whatsapp_token: SecretStr = Field(default=SecretStr(""), description="Token of a system user at Meta")
    whatsapp_phone_number_id: str = Field(default="", description="Meta's id of the sending number")
    whatsapp_business_account_id: str = Field(
        default="", description="Meta's id of the account (WABA), for `hub whatsapp templates --check`"
    )
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

    smtp_host: str = Field(default="", description="SMTP server")
    smtp_port: int = Field(default=587, description="Port of the SMTP server")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="Encryption of the connection"
    )
    smtp_user: str = Field(default="", description="Login at the SMTP server; empty: no login")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="Password at the SMTP server")
    smtp_sender: str = Field(
        default="Digital Hub Alfa Beauty <hub@alfabeauty.example>", description="From address of e-mails"
    )

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

    @property
    def channels(self) -> list[str]:
        """The channels that this adapter delivers."""
        return {"whatsapp": ["WHATSAPP"], "email": ["EMAIL"]}.get(self.delivery, ["WHATSAPP", "EMAIL"])

    def has_provider(self, channel: str) -> bool:
        """Whether the settings name the provider of a channel."""
        return self.has_credentials if channel == "WHATSAPP" else bool(self.smtp_host)

    def check_providers(self) -> None:
        """Raise SettingsError if a channel that is to be delivered has no provider."""
        needed = {"WHATSAPP": "HUB_WHATSAPP_TOKEN", "EMAIL": "HUB_SMTP_HOST"}
        missing = {channel: needed[channel] for channel in self.channels if not self.has_provider(channel)}
        if missing and self.delivery != "console":
            raise SettingsError(
                f"{' and '.join(missing)} cannot be delivered: set {' and '.join(missing.values())},"
                " or HUB_DELIVERY=whatsapp or email to deliver one channel only,"
                " or HUB_DELIVERY=console to print the messages"
            )
