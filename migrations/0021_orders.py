"""Phase 2, steps 1 and 2: orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="bcbf741ec870887c2b5834b15af52b39d0abbd2a49d8431d66d84aa3c22ed741",
    ),
]
