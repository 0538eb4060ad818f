"""Phase 3, step 4 (M-7.3-4): the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="a7de2411d61eb77ec76074bbee1802d86ac188988b8d0ba4b295f0c70dea6f28",
    ),
]
