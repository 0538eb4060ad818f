"""The data files of the demo data."""

import csv
import tomllib
from importlib import resources
from typing import Any

_DATA = resources.files("hub.seed") / "data"


def rows(name: str) -> list[dict[str, str]]:
    """The rows of `data/<name>.csv`."""
    return list(csv.DictReader((_DATA / f"{name}.csv").read_text(encoding="utf-8").splitlines()))


def product_lines() -> list[dict[str, Any]]:
    """The product lines of `data/products.toml`."""
    lines: list[dict[str, Any]] = tomllib.loads((_DATA / "products.toml").read_text(encoding="utf-8"))["line"]
    return lines
