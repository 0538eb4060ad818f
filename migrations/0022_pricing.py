"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="1c53a634425a5a4d388f62db7754c45d8c35d4edb05843cc734a4ca96190eb08",
    ),
]
