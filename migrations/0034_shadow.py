"""Phase 3, steps 3 and 5: sessions of agents in shadow mode, and the notices of them to partners."""

from hub.migrate.steps import schema_file

__depends__ = {"0033_service_level"}

steps = [
    schema_file(
        "34_shadow.sql",
        sha256="4f72036eb13675f21a9f7616f111ffd2e7ed35d9d6d39d6b3f2608de75f98fec",
    ),
]
