"""Partners who were deleted or erased."""

from hub.migrate.steps import schema_file

__depends__ = {"0045_erp"}

steps = [
    schema_file(
        "46_partners_removals.sql",
        sha256="63c2b0ccb87d5478e7c7aa43a2472988f04fb45cd86d5e963aeb298a809dfd47",
    ),
]
