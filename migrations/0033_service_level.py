"""Phase 3, step 4 (M-7.3-4): the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="5e22fffcf73cfbe88f20f2b90fafd874d840fed5648f7e9ae560b14f868e143c",
    ),
]
