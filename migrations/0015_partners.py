"""Phase 1, step 4 (M-7.1-4): partners, the salons that order."""

from hub.migrate.steps import schema_file

__depends__ = {"0014_subdistributors"}

steps = [
    schema_file(
        "15_partners.sql",
        sha256="79583a115192c26e18c6be445a688a2e3eeaf4172de6e370c4edffa90cb953bd",
    ),
]
