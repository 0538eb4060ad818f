"""Phase 1, step 2 (M-7.1-2): stock of each product."""

from hub.migrate.steps import schema_file

__depends__ = {"0012_catalog"}

steps = [
    schema_file(
        "13_inventory.sql",
        sha256="c351cf0308c63e9ed274621937a46eee4382ceb3be42ca5cc345632e7e97980f",
    ),
]
