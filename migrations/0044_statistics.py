"""Monthly spend and order count of each partner, materialised (M-6.1-3)."""

from hub.migrate.steps import schema_file

__depends__ = {"0043_jobs"}

steps = [
    schema_file(
        "44_statistics.sql",
        sha256="b5749a2258b983c9da3b4cb9ebb3f03e3c888742a99a9282e3af85bdc88ef156",
    ),
]
