"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="a0c78aed0c5160b5a5d130b72ce91810852ecd92de413b2356af835b120cec87",
    ),
]
