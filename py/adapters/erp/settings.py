"""Settings of the ERP adapter: environment variables HUB_<FIELD>, or the JSON file HUB_ERP_SETTINGS."""

from pathlib import Path
from typing import ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, SecretStr, model_validator

from adapters.common.settings import AdapterSettings

SERVICE_ID = UUID("0190aa00-0000-7000-8000-00000000000e")
"""`sub` of the adapter's tokens: the role `erp` has no row in the database."""


class Settings(AdapterSettings):
    """The settings of the adapter."""

    NAME: ClassVar[str] = "erp"

    listen_url: SecretStr = Field(
        default=SecretStr(""),
        description="Direct connection to the database, for the lock by which one of several adapters works",
    )

    erp_kind: Literal["tryton", "csv", "none"] = Field(default="none", description="The ERP to connect to")
    erp_host: str = Field(default="127.0.0.1", description="Address of /health")
    erp_port: int = Field(default=18161, description="Port of /health")
    erp_poll_seconds: float = Field(default=5, gt=0, description="Pause between two polls for orders")
    erp_interval_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Time between two synchronisations; by default the hub's stock.sync_interval_minutes",
    )
    erp_batch: int = Field(default=50, ge=1, le=1000, description="Orders fetched in one call")

    erp_url: str = Field(default="", description="Tryton server, such as https://tryton.example")
    erp_database: str = Field(default="", description="Tryton database")
    erp_login: str = Field(default="", description="Tryton user of the adapter")
    erp_password: SecretStr = Field(default=SecretStr(""), description="Password of the Tryton user")
    erp_warehouses: str = Field(
        default="", description="Comma-separated codes of the warehouses whose stock is sold; empty: all"
    )
    erp_timeout_seconds: float = Field(default=60, gt=0, description="Time limit of a call to Tryton")
    erp_settle_seconds: float = Field(
        default=120, ge=0, description="Time that an abandoned request may still run in Tryton"
    )
    erp_overlap_minutes: float = Field(
        default=60, ge=0, description="How far before the cursor changes are read again"
    )
    erp_utc_offset_hours: float = Field(
        default=7, ge=-12, le=14, description="UTC offset of the accountant's dates"
    )

    erp_folder: Path | None = Field(default=None, description="The drop folder of HUB_ERP_KIND=csv")
    erp_csv_settle_seconds: float = Field(
        default=5, ge=0, description="A file modified more recently may be incomplete and is left alone"
    )
    erp_csv_numbers: Literal["auto", "id", "en"] = Field(
        default="auto",
        description="How files write numbers: id (1.250,50), en (1,250.50), or auto: each file shows it",
    )

    @property
    def warehouses(self) -> list[str]:
        """Codes of the warehouses whose stock is sold; empty for all."""
        return [code.strip() for code in self.erp_warehouses.split(",") if code.strip()]

    @model_validator(mode="after")
    def _complete_for_its_kind(self) -> Self:
        required = {
            "tryton": ("erp_url", "erp_database", "erp_login", "erp_password"),
            "csv": ("erp_folder",),
            "none": (),
        }[self.erp_kind]
        if missing := [f"HUB_{name.upper()}" for name in required if not getattr(self, name)]:
            raise ValueError(f"HUB_ERP_KIND={self.erp_kind} requires {', '.join(missing)}")
        return self
