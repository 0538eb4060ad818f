"""Enum types (M-9-1 to M-9-14) and the function that generates ids (D-3.ids-1)."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="953704ba2878970ba6e349a6520996ac2c2871f89c2ea1dff52b3fa9452c8e11",
    ),
]
