"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="1f21e5e2160083880e4ba100e989dab37c72d70ea64d4054925ceddff675ead6",
    ),
]
