"""Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1)."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="5b9c9756f2f4e694f07a37468d6f3cad49db83696c34663ea8d28be1da2eb618",
    ),
]
