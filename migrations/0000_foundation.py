"""Enum types of the mission (appendix 9) and the identifier function that every table uses."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="148dbd62218690719561a6013828b64f79437f7f6d4e3c90d6b2231cc158ec36",
    ),
]
