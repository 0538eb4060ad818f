"""Monthly spend and order count of each partner, materialised (M-6.1-3)."""

from hub.migrate.steps import schema_file

__depends__ = {"0043_jobs"}

steps = [
    schema_file(
        "44_statistics.sql",
        sha256="85d014913dbc96080e14bc90f3904890726d844874e8f8e35a794bd9e7fafc9b",
    ),
]
