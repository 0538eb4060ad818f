"""Partners who were deleted or erased."""

from hub.migrate.steps import schema_file

__depends__ = {"0045_erp"}

steps = [
    schema_file(
        "46_partners_removals.sql",
        sha256="760d0081956e631987250b2914b77f8b7724c65a633c8da517c52446ec09c6aa",
    ),
]
