"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="d3394e58afb3418f2e2dd553e13f842871ef83ec201777ffe137e992817a4b68",
    ),
]
