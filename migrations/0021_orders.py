"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="e5cc318963c0e37547df4f1f6f1b26db4f83c3b7a1a696a95c0b3a425aa55374",
    ),
]
