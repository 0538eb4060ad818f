"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="5f8a0f08bfb1ad334895a8a23bf006c989d8bc50e9b67af2c597e0865f589704",
    ),
]
