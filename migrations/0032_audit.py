"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="d0f356d62d13731036d71a1d47d505ab46a29da341e31e97dc8bba9ab9c53fe7",
    ),
]
