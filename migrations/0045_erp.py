"""The exchange with the ERP: progress of each stream, rows in quarantine, cancellations to pass on."""

from hub.migrate.steps import schema_file

__depends__ = {"0044_statistics"}

steps = [
    schema_file(
        "45_erp.sql",
        sha256="a8efe8563d6af468b27cd03e716fa9e45bfd944019fdcaeadaa1967276499650",
    ),
]
