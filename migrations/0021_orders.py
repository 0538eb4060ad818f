"""Phase 2, steps 1 and 2: orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="34ebf1a4f7cf048ddf46dbbe113f89a60d7d0cd1f7316977ab6f5e0ca3b04dea",
    ),
]
