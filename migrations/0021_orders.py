"""Phase 2, steps 1 and 2: orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="71b4616b7ef0128153cf14f6c19a5953dd94c66951e1322291fbfc732fd9ca5b",
    ),
]
