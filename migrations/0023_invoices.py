"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices and their payments."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="69733db4211546fe1554bd2e7964808929bb8dcc374843fee76807464de65865",
    ),
]
