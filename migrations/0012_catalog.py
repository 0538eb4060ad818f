"""Phase 1, steps 1 and 2 (M-7.1-1, M-7.1-2): brands, categories, products."""

from hub.migrate.steps import schema_file

__depends__ = {"0011_regions"}

steps = [
    schema_file(
        "12_catalog.sql",
        sha256="6d1818bc02393f990e614a465d053c8af23ff964165242385dfea3e52505dfbf",
    ),
]
