"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices, their payments, and what corrects them."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="6e8851d572edc2dec3ed604488f9625c566db719cfb973fda9fb251cf5004fc3",
    ),
]
