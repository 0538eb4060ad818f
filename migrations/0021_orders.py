"""Phase 2, steps 1 and 2: orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="d9ce3df4604646510eb4568c5892da960de43a6a86a60a581f4606510f87ed9e",
    ),
]
