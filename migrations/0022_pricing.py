"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="23c97856b9702d07cad327bc7d27dd5323d8b6ca91fd87a885d74ed3d1645037",
    ),
]
