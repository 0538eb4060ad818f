"""Phase 1, step 5 (M-7.1-5): agents, the distributor's own staff."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_partners"}

steps = [
    schema_file(
        "16_agents.sql",
        sha256="03939db41e85ba4c7eaf14dccc2ccbea85ef3a39750f6d1bd214ac9dd281041b",
    ),
]
