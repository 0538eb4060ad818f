"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="4a1340cb174c768dd336feb2866ec5d705c693cd4c2d8d9ef2b0a11e665384cb",
    ),
]
