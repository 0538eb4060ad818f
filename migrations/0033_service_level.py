"""Phase 3, step 4 (M-7.3-4): the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="226ddbac30048ac0041402180a6502564082d0434f5c254a6c7fb8d9708d7c8f",
    ),
]
