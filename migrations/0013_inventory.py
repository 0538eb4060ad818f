"""Phase 1, step 2 (M-7.1-2): stock of each product."""

from hub.migrate.steps import schema_file

__depends__ = {"0012_catalog"}

steps = [
    schema_file(
        "13_inventory.sql",
        sha256="1cd610952e3f39ac77ab7eb20e26959438663a85f899cdf7ebe69c72d6e5c22f",
    ),
]
