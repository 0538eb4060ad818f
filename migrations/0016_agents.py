"""Phase 1, step 5 (M-7.1-5): agents, the distributor's own staff."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_partners"}

steps = [
    schema_file(
        "16_agents.sql",
        sha256="c275922e68523ff04ab870bab66ea475cb4dbea08d9cb41e368c4ab6fd64a188",
    ),
]
