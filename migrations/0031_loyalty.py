"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="e145cd7c9aafbcd0b630c933da8ce1a69727aeea04c9e53684174117daa35061",
    ),
]
