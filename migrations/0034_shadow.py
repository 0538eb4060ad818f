"""Phase 3, steps 3 and 5 (M-7.3-3, M-7.3-5): shadow sessions and the partners' notifications."""

from hub.migrate.steps import schema_file

__depends__ = {"0033_service_level"}

steps = [
    schema_file(
        "34_shadow.sql",
        sha256="8c2b70afedb657b6fdc0699b35a6a4da84c8e166d0dc49354c6b48e1a19cc0a9",
    ),
]
