"""Phase 2, steps 1 and 2: orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="97a18af19b62e2ecbda8319b1102502cc51ce1dd8c45b3a9761f7e76a9e126d0",
    ),
]
