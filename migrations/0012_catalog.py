"""Phase 1, steps 1 and 2 (M-7.1-1, M-7.1-2): brands, categories, products."""

from hub.migrate.steps import schema_file

__depends__ = {"0011_regions"}

steps = [
    schema_file(
        "12_catalog.sql",
        sha256="215473e8be3155231a1df5af5bc0214a3d16d03faf8ea7b6c93a76fe3897e4c0",
    ),
]
