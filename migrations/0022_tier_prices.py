"""Phase 2, step 3: prices a tier pays, with their time of validity."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_tier_prices.sql",
        sha256="402517654999ac7bfbc2a58a727ea0ef6fefcb7687c8de3d588da4a3dd1a28c8",
    ),
]
