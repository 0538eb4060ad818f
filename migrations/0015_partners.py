"""Phase 1, step 4 (M-7.1-4): partners, the salons that order."""

from hub.migrate.steps import schema_file

__depends__ = {"0014_subdistributors"}

steps = [
    schema_file(
        "15_partners.sql",
        sha256="8954e2f52b91b922d23ad601b125b63ed1bee7e34f6487662c2f2e4c45324f15",
    ),
]
