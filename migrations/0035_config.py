"""Phase 3, step 6 (M-7.3-6): configuration that changes without a deployment."""

from hub.migrate.steps import schema_file

__depends__ = {"0034_shadow"}

steps = [
    schema_file(
        "35_config.sql",
        sha256="642c9dc12d73b22dc0e893d505ac84521c46c7a050ec83b62b1f1a865757c443",
    ),
]
