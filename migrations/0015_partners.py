"""Phase 1, step 4: partners, the salons that order."""

from hub.migrate.steps import schema_file

__depends__ = {"0014_subdistributors"}

steps = [
    schema_file(
        "15_partners.sql",
        sha256="266a95f08d872d8d94da883b6f66aeef22db6c156035a5abd73cf96bad274f8c",
    ),
]
