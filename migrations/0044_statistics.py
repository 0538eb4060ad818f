"""Monthly spend and order count of each partner, materialised (M-6.1-3)."""

from hub.migrate.steps import schema_file

__depends__ = {"0043_jobs"}

steps = [
    schema_file(
        "44_statistics.sql",
        sha256="e4a662728081f3e7bd0a59a08199f90fd6260ca75290d314370b2226c2bc37db",
    ),
]
