"""Phase 1, step 2 (M-7.1-2): stock of each product."""

from hub.migrate.steps import schema_file

__depends__ = {"0012_catalog"}

steps = [
    schema_file(
        "13_inventory.sql",
        sha256="2abaa9b179e325398c73fed6b6264de7c74fd9a9f300db2f55eb08cd7c293e4f",
    ),
]
