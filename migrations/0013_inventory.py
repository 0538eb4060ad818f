"""Phase 1, step 2 (M-7.1-2): stock of each product."""

from hub.migrate.steps import schema_file

__depends__ = {"0012_catalog"}

steps = [
    schema_file(
        "13_inventory.sql",
        sha256="8713c9a7cbb6ae8a5814e9c078e617c89fed0a4477a88777e02c6cf32f18ca59",
    ),
]
