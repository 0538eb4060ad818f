"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="98820ace2649618eb7d1337ce70399d9e7ac35e47552218577ffe1891834798b",
    ),
]
