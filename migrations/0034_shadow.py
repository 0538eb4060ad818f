"""Phase 3, steps 3 and 5 (M-7.3-3, M-7.3-5): shadow sessions and the partners' notifications."""

from hub.migrate.steps import schema_file

__depends__ = {"0033_service_level"}

steps = [
    schema_file(
        "34_shadow.sql",
        sha256="15b55c904dad3122cd483214e9c2277040a7677853095e4d6a8e6631b984f2aa",
    ),
]
