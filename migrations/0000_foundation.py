"""Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1)."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="c12b085318aacba29908b55a53d30edb1cbd91634f6498cfe52b15bb1b60ffa3",
    ),
]
