"""Phase 1, step 4 (M-7.1-4): partners, the salons that order."""

from hub.migrate.steps import schema_file

__depends__ = {"0014_subdistributors"}

steps = [
    schema_file(
        "15_partners.sql",
        sha256="fc1f0c3b735007b28848996075ba94649f6ae430ac81982a0f206c9945d191e9",
    ),
]
