"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices, their payments, and what corrects them."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="20f872e4189bccbb6b375adde456b2215e6b9b140a423957cfc8752aa2a1a617",
    ),
]
