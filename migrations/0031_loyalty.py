"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="23f31c999d86a602d7b60a6c8e0f09e70448fa552919e4616740b8ab0ad46ca7",
    ),
]
