"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="819f4874aed1eaa7876c0e8b53443b2b62f5b7eb91aee6f41edd95a12afe91fe",
    ),
]
