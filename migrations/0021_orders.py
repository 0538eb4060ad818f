"""Phase 2, steps 1 and 2: orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0015_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="aa7009d4462b56150c083c9e03ec70bdfcac69056d98ca6280d43ee40855e71b",
    ),
]
