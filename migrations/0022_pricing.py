"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="09e0f4111bfed4946b7e47e743e1dc9e9b7c14b09fd70cff9277a7edb088c311",
    ),
]
