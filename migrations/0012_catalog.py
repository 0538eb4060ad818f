"""Phase 1, steps 1 and 2 (M-7.1-1, M-7.1-2): brands, categories, products."""

from hub.migrate.steps import schema_file

__depends__ = {"0011_regions"}

steps = [
    schema_file(
        "12_catalog.sql",
        sha256="d2af89a67f3ce34648d1af7ee8870573408b9f9a9c7a1b8076e71cdff490e8d6",
    ),
]
