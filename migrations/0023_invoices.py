"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices, their payments, and what corrects them."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="d974b5ef209565c796ddd36c4ede6537bf75eff9f45daa6a35c09308f772907f",
    ),
]
