"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="161872c585f806a927d1d53faba8d939b7e4100fc3f0e9e58b239ce7cbcb0769",
    ),
]
