"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="1b42472ff6f5da7aac573cc0b11e277a01d994dc5f07f8a99f930d169972fa88",
    ),
]
