"""Phase 1, step 3: sub-distributors, who serve the orders of a region."""

from hub.migrate.steps import schema_file

__depends__ = {"0013_inventory"}

steps = [
    schema_file(
        "14_subdistributors.sql",
        sha256="a70b554c49ef5d30d9d33999a23ef5c6df3e703539ea60f55691d34e5d90a416",
    ),
]
