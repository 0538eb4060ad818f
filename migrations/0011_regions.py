"""Phase 1, step 1 (M-7.1-1): regions, the tree that decides the routing of orders."""

from hub.migrate.steps import schema_file

__depends__ = {"0000_foundation"}

steps = [
    schema_file(
        "11_regions.sql",
        sha256="bf8893ff9f0d0c4d427f342a63386a0a161a99435a098f704f6e12af2ab81405",
    ),
]
