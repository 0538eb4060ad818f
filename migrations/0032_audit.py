"""Phase 3, step 3: the audit trail and the sessions of agents in shadow mode."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="619c064c7a21e47e4da061e0a6430375da9dea99ef24409a5e5c0ea6e940ea58",
    ),
]
