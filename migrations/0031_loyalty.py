"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="3718d72ecb218b1e09b8bf40df4f3590dec23dcffbad770db862b228834d158c",
    ),
]
