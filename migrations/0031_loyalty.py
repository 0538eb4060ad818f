"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="18e580b7fa277d13c4002c25499cc22e6340285aa6291a8c807f8bd63abd4394",
    ),
]
