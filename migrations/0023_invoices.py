"""Phase 2, steps 4 and 5 (M-7.2-4, M-7.2-5): invoices, their payments, and what corrects them."""

from hub.migrate.steps import schema_file

__depends__ = {"0022_pricing"}

steps = [
    schema_file(
        "23_invoices.sql",
        sha256="a50e3d7ca72055d7195f41d573ae89f33667f44a0fae0995aa5fe36ab5542833",
    ),
]
