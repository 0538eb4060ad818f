"""Phase 1, steps 1 and 2: brands, categories, products, inventory."""

from hub.migrate.steps import schema_file

__depends__ = {"0011_regions"}

steps = [
    schema_file(
        "12_catalog.sql",
        sha256="b7d5262b02a95a81d604bf5c1f70b5dc3c11396804f3367544d87aa0d05e2edd",
    ),
]
