"""Phase 3, step 3: the audit trail and the sessions of agents in shadow mode."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="619d10727b69c0e46f295463376e9be01f03e73aa84b881e33c3f91494784227",
    ),
]
