"""Phase 1, steps 1 and 2 (M-7.1-1, M-7.1-2): brands, categories, products."""

from hub.migrate.steps import schema_file

__depends__ = {"0011_regions"}

steps = [
    schema_file(
        "12_catalog.sql",
        sha256="4000dca3723bf7425fb266ce9af438026d3e8732657cdc65bccdf6ef267a5a31",
    ),
]
