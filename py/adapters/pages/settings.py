"""Settings of the program that serves the pages: environment variables HUB_<FIELD>, or a JSON file.

HUB_PAGES_SETTINGS names the file; its values override the environment.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from adapters.common.settings import ProgramSettings


class Settings(ProgramSettings):
    """The settings of the program."""

    NAME: ClassVar[str] = "pages"

    gateway_url: str = Field(default="http://127.0.0.1:18150", description="The hub's HTTP API, behind /api/")
    pages_root: Path = Field(
        default=..., description="The folder of the built pages: shop/dist and, if it was built, console/dist"
    )
    pages_host: str = Field(default="127.0.0.1", description="Address of the pages")
    pages_port: int = Field(default=18164, description="Port of the pages")
