"""Phase 1, step 5 (M-7.1-5): agents, the distributor's own staff."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_partners"}

steps = [
    schema_file(
        "16_agents.sql",
        sha256="270b18b044df5bf9a9fc8a18307f01356f8adc6e42e4b3b326de1ded4ab3b829",
    ),
]
