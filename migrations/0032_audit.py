"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="b2a4015f7eb45722217943b8c59ced2c5e67961c037921ce61101653cc26c534",
    ),
]
