"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices and their payments."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="d4f26f5906087d3a96ebf2786df32df83b26b556e4cc21e1f07ee38057d51210",
    ),
]
