"""Phase 3, steps 3 and 5 (M-7.3-3, M-7.3-5): shadow sessions and the partners' notifications."""

from hub.migrate.steps import schema_file

__depends__ = {"0033_service_level"}

steps = [
    schema_file(
        "34_shadow.sql",
        sha256="1e37374e1131693fe77b167b2327c4648adef4fd7c833983738726d4ed39c270",
    ),
]
