"""Phase 3, steps 1 and 2: the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="d9b8ba24a7aab66cc62d174e744b453ce53e06971e78496befe12e2220c8102f",
    ),
]
