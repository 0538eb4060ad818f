"""Phase 3, steps 1 and 2 (M-7.3-1, M-7.3-2): the ledger of points and the rewards."""

from hub.migrate.steps import schema_file

__depends__ = {"0023_invoices"}

steps = [
    schema_file(
        "31_loyalty.sql",
        sha256="19b7e423a62ddcebadcc372b45406dc873618815a8c35f3a5913341c95b77b93",
    ),
]
