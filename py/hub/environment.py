"""The environment: settings that say where programs and data are, and what a child process inherits.

Only this module and `hub.settings` read environment variables.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Locations(BaseSettings):
    """Where programs and data are; None means the default."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    root: Path | None = Field(default=None, validation_alias="HUB_ROOT")
    """The folder of sql/ and migrations/, if the package is installed elsewhere; default: the checkout."""
    data_dir: Path | None = Field(default=None, validation_alias="HUB_DATA_DIR")
    """The data folder of the stack; default: .data in the checkout."""
    pg_bin: Path | None = Field(default=None, validation_alias="HUB_PG_BIN")
    """The folder of PostgreSQL's programs; default: the newest installed version."""
    pg_bins: str = Field(default="", validation_alias="HUB_PG_BINS")
    """More folders of PostgreSQL's programs, separated by colons; `hub dev matrix` runs the tests on them."""
    postgrest_bin: Path | None = Field(default=None, validation_alias="POSTGREST_BIN")
    """The PostgREST program; default: the one on PATH, else the pinned release."""
    postgrest_sha256: str | None = Field(default=None, validation_alias="HUB_POSTGREST_SHA256")
    """The expected SHA-256 of the downloaded release, in hex; default: no check."""


def child_environment(
    more: Mapping[str, str] | None = None, *, without: tuple[str, ...] = ()
) -> dict[str, str]:
    """The variables for a child process: ours, less those with a prefix in `without`, plus `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    return kept | dict(more or {})
