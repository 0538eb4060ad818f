"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="697bcff9443547bebcdd35aa5469d5052e3f6e5ff8c1e8bcf41a15d5f0e146e3",
    ),
]
