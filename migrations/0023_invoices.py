"""Phase 2, steps 4 and 5: invoices and their payments."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="d8d15acb365f0a065356022a68a731a89702fd1ef8d6d36cafa36575721c032b",
    ),
]
