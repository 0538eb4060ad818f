"""Phase 3, step 4 (M-7.3-4): the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="ebfdd9bf6941f28248c12557d105fb12c4dba9e9271584ab25a52bd0232fd9b6",
    ),
]
