"""Phase 1, step 3 (M-7.1-3): sub-distributors, who serve the orders of a region."""

from hub.migrate.steps import schema_file

__depends__ = {"0013_inventory"}

steps = [
    schema_file(
        "14_subdistributors.sql",
        sha256="19f511a4529f8130d4acd786dbdc6d8163538f7a4c4a76e5cd0a1097a6b8171e",
    ),
]
