"""Phase 3, step 6: configuration that changes without a deploy."""

from hub.migrate.steps import schema_file

__depends__ = {"0034_shadow"}

steps = [
    schema_file(
        "35_config.sql",
        sha256="6859bd73977a6a2fd4ab509bdfe08ea3a16a303348b4758685a392463cf68fc0",
    ),
]
