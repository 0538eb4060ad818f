"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="f03725f558154c2142ac11554f6233f700ddf262ced074a9aee73b7e3e2f207d",
    ),
]
