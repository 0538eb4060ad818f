"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="f6d1ba65615556bfe0ad88a022d3612e65899980d23a4efdf86cbfb0d1add5f5",
    ),
]
