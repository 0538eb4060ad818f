"""Phase 1, steps 1 and 2 (M-7.1-1, M-7.1-2): brands, categories, products."""

from hub.migrate.steps import schema_file

__depends__ = {"0011_regions"}

steps = [
    schema_file(
        "12_catalog.sql",
        sha256="1305b1a40df23414dc81907ce501c3030e52787b7293de8c709774f9c5ce0aa9",
    ),
]
