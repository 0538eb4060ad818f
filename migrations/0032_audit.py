"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="46a99e97de50dd5ecdb8f34492ba4fdaba976aa504493ef926dad96077ad648a",
    ),
]
