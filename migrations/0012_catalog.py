"""Phase 1, steps 1 and 2: brands, categories, products."""

from hub.migrate.steps import schema_file

__depends__ = {"0011_regions"}

steps = [
    schema_file(
        "12_catalog.sql",
        sha256="96a887ce37a720f1bc5e035b31b4436b86c0ee0f84be4bd290ab80dba636e28f",
    ),
]
