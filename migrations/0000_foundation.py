"""Enum types of the mission (appendix 9) and the identifier function that every table uses."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="6c3f27c8249f918cd359799a81c0e9fb3dadeff0e152b3acaa8dc991c7dca51b",
    ),
]
