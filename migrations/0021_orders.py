"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="a072dd494cfde2b4f62588611bd2d21ecac6c4d62a83adb23c9448eaa89eeefa",
    ),
]
