"""Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1)."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="6c3f27c8249f918cd359799a81c0e9fb3dadeff0e152b3acaa8dc991c7dca51b",
    ),
]
