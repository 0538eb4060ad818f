"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="125f5b9ef15904653169a21941d90b0345fe32ee0e898a534d4f0f16ec94cdb6",
    ),
]
