"""Monthly spend and order count of each partner, materialised (M-6.1-3)."""

from hub.migrate.steps import schema_file

__depends__ = {"0043_jobs"}

steps = [
    schema_file(
        "44_statistics.sql",
        sha256="af7e4ce3390829c3da6418c48b521f733b76b0c2e3ac21b1bd27bfe2d86b2a33",
    ),
]
