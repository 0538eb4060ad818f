"""Phase 1, step 2: stock of each product."""

from hub.migrate.steps import schema_file

__depends__ = {"0012_catalog"}

steps = [
    schema_file(
        "13_inventory.sql",
        sha256="840e4807ad3a6645f6a93248af6f5e2a96c695147d0f50c723d2a5355fa52b85",
    ),
]
