"""Phase 3, step 3: the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="be25468e1e4bc24a9e6c8b9fe83598638b734b88297935751a4a361026aafd77",
    ),
]
