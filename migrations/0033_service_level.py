"""Phase 3, step 4 (M-7.3-4): the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="264c63eb2d7accfdbee2991acf62b2b2c55d9ac9354c4976bcab86b4b97a04f1",
    ),
]
