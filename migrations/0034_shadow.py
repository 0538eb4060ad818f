"""Phase 3, steps 3 and 5 (M-7.3-3, M-7.3-5): shadow sessions and the partners' notifications."""

from hub.migrate.steps import schema_file

__depends__ = {"0033_service_level"}

steps = [
    schema_file(
        "34_shadow.sql",
        sha256="67601de03f7bd5f528ab36f585547325b4b341229b876144685a2dd8ed36c03a",
    ),
]
