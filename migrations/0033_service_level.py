"""Phase 3, step 4: the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="90c0bcb6cfca00888c2910c2f4a495aa643b16f9165005072dd56cad97d050ca",
    ),
]
