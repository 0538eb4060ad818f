"""The exchange with the ERP: progress of each stream, quarantined rows, cancellations to pass on."""

from hub.migrate.steps import schema_file

__depends__ = {"0044_statistics"}

steps = [
    schema_file(
        "45_erp.sql",
        sha256="f410272c76fea889aecf0dd1c924ba90f2d79dade923eacc32588a81444249a5",
    ),
]
