"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices, their payments, and what corrects them."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="2f96a6f5702a99fddea5c92b112f143b4c429a5504cad0835374617abb6ef510",
    ),
]
