"""The exchange with the ERP: progress of each stream, quarantined rows, cancellations to pass on."""

from hub.migrate.steps import schema_file

__depends__ = {"0044_statistics"}

steps = [
    schema_file(
        "45_erp.sql",
        sha256="a0566316c1d2767125e808204342479e045902d28fae5a14b68f018e20b17c84",
    ),
]
