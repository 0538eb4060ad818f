"""Phase 3, step 3 (M-7.3-3): the audit trail."""

from hub.migrate.steps import schema_file

__depends__ = {"0031_loyalty"}

steps = [
    schema_file(
        "32_audit.sql",
        sha256="688ca90f29bf6e14a917c6491ec27e024e528da62c9bf1fd0a0dc2fdf3eda72d",
    ),
]
