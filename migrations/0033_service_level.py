"""Phase 3, step 4 (M-7.3-4): the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="e53b47cf317f2139ccac0f90f3eab0c23057971a561ea32e94af78b3a9eec6a3",
    ),
]
