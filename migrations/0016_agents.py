"""Phase 1, step 5: agents, the distributor's own people."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_partners"}

steps = [
    schema_file(
        "16_agents.sql",
        sha256="56f57d01001649bda7fc4391a4e4f7604057d5b33e5753447c6ab08bb1c9f482",
    ),
]
