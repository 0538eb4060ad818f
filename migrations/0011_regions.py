"""Phase 1, step 1 (M-7.1-1): regions, the tree that decides the routing of orders."""

from hub.migrate.steps import schema_file

__depends__ = {"0000_foundation"}

steps = [
    schema_file(
        "11_regions.sql",
        sha256="603513f1f88648d0243354793b847ecce3c6c6c8ec5bf1530ba551cf39225f65",
    ),
]
