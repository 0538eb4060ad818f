"""Phase 1, step 3 (M-7.1-3): sub-distributors, who serve the orders of a region."""

from hub.migrate.steps import schema_file

__depends__ = {"0013_inventory"}

steps = [
    schema_file(
        "14_subdistributors.sql",
        sha256="a42b067770110ec2b3297437f02f9a5b9060ca8cd3b5c4d20b6be0f2bbe7ba28",
    ),
]
