"""Monthly spend and order count of each partner, materialised (M-6.1-3)."""

from hub.migrate.steps import schema_file

__depends__ = {"0043_jobs"}

steps = [
    schema_file(
        "44_statistics.sql",
        sha256="12dd8f47ff07263bbed0bd56f98c822bd76474f36956c9f37209a117112c35a3",
    ),
]
