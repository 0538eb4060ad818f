"""Phase 3, step 6 (M-7.3-6): configuration that changes without a deployment."""

from hub.migrate.steps import schema_file

__depends__ = {"0034_shadow"}

steps = [
    schema_file(
        "35_config.sql",
        sha256="52c2def5c7c8e7fe26317a6cc929379a4584287cf230a0000fb4d0b3156098c8",
    ),
]
