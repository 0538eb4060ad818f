"""Partners who were deleted or erased."""

from hub.migrate.steps import schema_file

__depends__ = {"0045_erp"}

steps = [
    schema_file(
        "46_partners_removals.sql",
        sha256="f402bde320de43f15051babec49fd7c1c7c3a85bfab6c21cdbad22f358bacf91",
    ),
]
