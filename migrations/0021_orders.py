"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="4d1fbbef75f1748934e28e75bc39afeb5267b4c67ab05ddc8658e55015d94ece",
    ),
]
