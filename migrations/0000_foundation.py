"""Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1)."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="7035852c145954c73e222f85fe1f07d7ebd49fce7be4dbc0e02448345d9ceec6",
    ),
]
