"""Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1)."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="806ba8d03443d266cb5dd277f035fe0e4b3316842262065d52d5e2d8c5e8a69f",
    ),
]
