"""What the adapter is told: HUB_<FIELD> of the environment, or the JSON file HUB_ERP_SETTINGS."""

import json
import os
from pathlib import Path
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICE_ID = UUID("0190aa00-0000-7000-8000-00000000000e")
"""`sub` of the adapter's tokens: a service, no row."""


class Settings(BaseSettings):
    """Everything that the adapter is told."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore")

    gateway_url: str = "http://127.0.0.1:38150"
    jwt_secret: str = Field(default=..., min_length=32, description="HS256: mints the adapter's own tokens")
    listen_url: str = Field(
        default="",
        description="Direct connection to the database: by a lock there, one of several adapters works",
    )

    erp_kind: Literal["tryton", "csv", "none"] = "none"
    erp_host: str = Field(default="127.0.0.1", description="Where /health is served")
    erp_port: int = 38161
    erp_poll_seconds: float = Field(
        default=5, gt=0, description="Pause between two looks for orders to hand over"
    )
    erp_interval_seconds: float | None = Field(
        default=None, gt=0, description="Between two syncs; else the hub's stock.sync_interval_minutes"
    )
    erp_batch: int = Field(default=50, ge=1, le=1000, description="Orders fetched at once")

    erp_url: str = Field(default="", description="Of the Tryton server: https://tryton.example")
    erp_database: str = ""
    erp_login: str = ""
    erp_password: str = ""
    erp_warehouses: str = Field(default="", description="Codes, with commas between; empty: all")
    erp_timeout_seconds: float = Field(default=60, gt=0)
    erp_settle_seconds: float = Field(
        default=120, ge=0, description="How long a request that was given up may go on in the ERP"
    )
    erp_overlap_minutes: float = Field(
        default=60, ge=0, description="How far behind the cursor changes are read again"
    )
    erp_utc_offset_hours: float = Field(
        default=7, ge=-12, le=14, description="Where the accountant's day begins"
    )

    erp_folder: Path | None = Field(default=None, description="The drop folder of HUB_ERP_KIND=csv")
    erp_csv_settle_seconds: float = Field(
        default=5, ge=0, description="A file that was touched less long ago may still be being written"
    )

    @classmethod
    def told(cls) -> "Settings":
        """From the file, if one is named, and the environment. Raises ValidationError."""
        file = os.environ.get("HUB_ERP_SETTINGS")
        return cls(**json.loads(Path(file).read_text())) if file else cls()

    @property
    def warehouses(self) -> list[str]:
        """Codes of the warehouses whose stock is sold."""
        return [code.strip() for code in self.erp_warehouses.split(",") if code.strip()]

    @model_validator(mode="after")
    def _what_the_kind_needs(self) -> Self:
        needed = {
            "tryton": ("erp_url", "erp_database", "erp_login", "erp_password"),
            "csv": ("erp_folder",),
            "none": (),
        }[self.erp_kind]
        if missing := [f"HUB_{name.upper()}" for name in needed if not getattr(self, name)]:
            raise ValueError(f"HUB_ERP_KIND={self.erp_kind} needs {', '.join(missing)}")
        return self
