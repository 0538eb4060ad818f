"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="9ace5e95ee197b520d5c784f996557ec74d58a9887279886fafefa544002ce90",
    ),
]
