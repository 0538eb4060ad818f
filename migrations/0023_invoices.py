"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices and their payments."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="8da91fe2abc006bfe047aaab9a8d2695d14a572f165bcc9de26fc0352b1df2c7",
    ),
]
