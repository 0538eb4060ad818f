"""Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1)."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="e0866c3a48386e0a553b239bb96ce8470edb4fdc10ff4fcc1698d8fd01f3ea1f",
    ),
]
