"""Phase 1, step 4 (M-7.1-4): partners, the salons that order."""

from hub.migrate.steps import schema_file

__depends__ = {"0014_subdistributors"}

steps = [
    schema_file(
        "15_partners.sql",
        sha256="7808f9a839f026f9bd1601f1bcfb1d90ed57250d3ccca5e82cda63585f69bc78",
    ),
]
