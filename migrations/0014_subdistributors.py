"""Phase 1, step 3 (M-7.1-3): sub-distributors, who serve the orders of a region."""

from hub.migrate.steps import schema_file

__depends__ = {"0013_inventory"}

steps = [
    schema_file(
        "14_subdistributors.sql",
        sha256="b34475ef1993085e0ee1ee6051f8891cf2c239bd3c8c73915ce83df0be25da3e",
    ),
]
