"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="292a398fa5e789c21a0ebe69525bd0359cd02d14e66291afecbda44a61774a9f",
    ),
]
