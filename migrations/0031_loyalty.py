"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="163633d7ae5fbb49e60a9fc0ff872c056d9be7a7d7569a5c6bcc137fe70ca773",
    ),
]
