"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="e03834fe1ee1e36b411300973b67adcbdd7ff611e12f9890dc52a4ade01973b1",
    ),
]
