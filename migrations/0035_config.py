"""Phase 3, step 6 (M-7.3-6): configuration that changes without a deployment."""

from hub.migrate.steps import schema_file

__depends__ = {"0034_shadow"}

steps = [
    schema_file(
        "35_config.sql",
        sha256="089dc43b94e2760137060ea9002b2f44b80861510b8aa50623f8ade6445c73ef",
    ),
]
