"""Phase 3, step 6 (M-7.3-6): configuration that changes without a deployment."""

from hub.migrate.steps import schema_file

__depends__ = {"0034_shadow"}

steps = [
    schema_file(
        "35_config.sql",
        sha256="9f0d23d571fbacd60bda04b691c163da981abd4e28996732d7e185fd7541f19e",
    ),
]
