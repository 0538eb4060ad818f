"""Phase 3, step 6 (M-7.3-6): configuration that changes without a deployment."""

from hub.migrate.steps import schema_file

__depends__ = {"0034_shadow"}

steps = [
    schema_file(
        "35_config.sql",
        sha256="699b3189250c50bc2972e7d1dce472a75da0674b493ec6fca3e1aa53bc6ceb22",
    ),
]
