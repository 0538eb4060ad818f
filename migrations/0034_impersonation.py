"""Phase 3, step 5: notices to partners about orders placed in their name."""

from hub.migrate.steps import schema_file

__depends__ = {"0033_service_level"}

steps = [
    schema_file(
        "34_impersonation.sql",
        sha256="266c1fe1801185d2364123003a37a510200d9a61a64025518a2e232c52b28261",
    ),
]
