"""Phase 1, step 1 (M-7.1-1): regions, the tree that decides the routing of orders."""

from hub.migrate.steps import schema_file

__depends__ = {"0000_foundation"}

steps = [
    schema_file(
        "11_regions.sql",
        sha256="10d8774b3d849354062dfc38b5903ad62be1166f066da164aab3f987517ce3fe",
    ),
]
