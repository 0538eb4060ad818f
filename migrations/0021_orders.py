"""Phase 2, steps 1 and 2 (M-7.2-1, M-7.2-2): orders and their lines."""

from hub.migrate.steps import schema_file

__depends__ = {"0016_agents"}

steps = [
    schema_file(
        "21_orders.sql",
        sha256="3d5f12eb30375ca8632d8996b30c3a96c04252ca1f802dad67a519b1c5cd8105",
    ),
]
