"""Phase 1, step 4 (M-7.1-4): partners, the salons that order."""

from hub.migrate.steps import schema_file

__depends__ = {"0014_subdistributors"}

steps = [
    schema_file(
        "15_partners.sql",
        sha256="774f66bd9f571b6dae471fc6824b2739c6d7e5dc8dffce0984e8bd174aa32b0e",
    ),
]
