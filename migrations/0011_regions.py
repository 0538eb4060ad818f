"""Phase 1, step 1: regions, the tree along which orders find their sub-distributor."""

from hub.migrate.steps import schema_file

__depends__ = {"0000_foundation"}

steps = [
    schema_file(
        "11_regions.sql",
        sha256="027da6351d96f0201b0aeee8a82874d442259b41f633efc585f2441a54016f6d",
    ),
]
