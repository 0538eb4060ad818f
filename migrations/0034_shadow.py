"""Phase 3, steps 3 and 5 (M-7.3-3, M-7.3-5): shadow sessions and the partners' notifications."""

from hub.migrate.steps import schema_file

__depends__ = {"0033_service_level"}

steps = [
    schema_file(
        "34_shadow.sql",
        sha256="62ea52924e6b4e9f4a043d086c85b2e14544aa0207ef62782519b2de1e8da64e",
    ),
]
