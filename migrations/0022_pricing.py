"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="fe5d05e013d2b860c3726177488816fbcf20974d5ec960c33620c7d4e6a40853",
    ),
]
