"""Phase 1, step 5 (M-7.1-5): agents, the distributor's own staff."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_partners"}

steps = [
    schema_file(
        "16_agents.sql",
        sha256="4453cb20993bd457d506903cd8545b0b61568bb5a554be9d8b09fedf5f5a95ea",
    ),
]
