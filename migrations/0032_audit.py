"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="66259e1db461c4b7c80e25fbb3e3eec06774b146364d752265d7c1890782ab15",
    ),
]
