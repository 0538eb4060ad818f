"""Partners who were deleted or erased."""

from hub.migrate.steps import schema_file

__depends__ = {"0045_erp"}

steps = [
    schema_file(
        "46_partners_removals.sql",
        sha256="d3bdae8f4bd21c4cf4b283e04b11d3bd96505a10218dd4c39b23a094080a0e47",
    ),
]
