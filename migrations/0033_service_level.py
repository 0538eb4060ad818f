"""Phase 3, step 4 (M-7.3-4): the log of escalations."""

from hub.migrate.steps import schema_file

__depends__ = {"0032_audit"}

steps = [
    schema_file(
        "33_service_level.sql",
        sha256="e1ef3e1dc13aadeb901817928ca314227cb3e6fb89c3c4065b050669501f5ae8",
    ),
]
