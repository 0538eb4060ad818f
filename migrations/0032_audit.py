"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="aa86c4dcb10491548369d2f47974698a81ab5626abec2d89492c18cfa83a73db",
    ),
]
