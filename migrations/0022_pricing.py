"""Phase 2, step 3: prices a tier pays, with their time of validity."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="45ee2aa52ddaff1677a8a11718dc35b0406b87ac2f295a769a6f1d7c7c4f01a9",
    ),
]
