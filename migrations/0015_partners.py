"""Phase 1, step 4 (M-7.1-4): partners, the salons that order."""

from hub.migrate.steps import schema_file

__depends__ = {"0014_subdistributors"}

steps = [
    schema_file(
        "15_partners.sql",
        sha256="3630be934f8272b7a86daf118f6e6beb9f88a4e693db5a6a985900e03fa2619a",
    ),
]
