"""What the design adds: the exchange with the ERP, what it could not take, what has to be undone there."""

from hub.migrate.steps import schema_file

__depends__ = {"0044_statistics"}

steps = [
    schema_file(
        "45_erp.sql",
        sha256="e36d789e5247ba52542747b752bc2fdaa40734c4b95a18776ea9d9ac50379e72",
    ),
]
