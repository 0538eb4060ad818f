"""The exchange with the ERP: progress of each stream, quarantined rows, cancellations to pass on."""

from hub.migrate.steps import schema_file

__depends__ = {"0044_statistics"}

steps = [
    schema_file(
        "45_erp.sql",
        sha256="c00932ed0faef97b7c44f22b7ce34503535b934dce44bb5611b1cd297506b855",
    ),
]
