"""What the design adds: the scheduled jobs and when they last worked."""

from hub.migrate.steps import schema_file

__depends__ = {"0042_messaging"}

steps = [
    schema_file(
        "43_jobs.sql",
        sha256="e629fa914a1dd24e3fc39c81926231b6f71d84e88d859f2ae8e88f6b4b95caab",
    ),
]
