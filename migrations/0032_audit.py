"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="6df9a0adf3e6105ac1be9ad44a22b705d1ae19cfe6a76e031786e312ae1c8295",
    ),
]
