"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="b940b38637ce98617ecfe5fdc528a301fe5d382ba7fdecb4095cf5fb02bfd0ab",
    ),
]
