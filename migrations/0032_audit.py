"""Phase 3, step 3: the audit trail and the sessions of agents in shadow mode."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="df9e9febde2c5d3f3b033562421a687c675c601490a2c9f4426795657b139988",
    ),
]
