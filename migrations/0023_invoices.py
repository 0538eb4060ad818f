"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices and their payments."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="fc3b47d095fb5fd79b54a270ffbc2d2c99f99e2ea110e5e7fe88af3ea0290684",
    ),
]
