"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices, their payments, and what corrects them."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="02814f3926f046f3aad355442aa82b7396e9111fe0c6c4bf5aeea0d6c7079de3",
    ),
]
