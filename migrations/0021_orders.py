"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="b7679ed919eba972a9e9101c0d40e859447b8d949c185dec65e4e42757fa9bbb",
    ),
]
