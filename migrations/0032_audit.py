"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="11cb3b3b5979e65f0fd190070444db3210c4a7f9c9ffb1d135a71c1b02e84da9",
    ),
]
