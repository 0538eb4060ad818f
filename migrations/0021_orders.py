"""Phase 2, steps 1 and 2: orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="0a976e0384f7f76b30ea77e3a21726d3a99f6334e6eb12ee3e30f18a381a5ef7",
    ),
]
