"""What the design adds: the scheduled jobs and when they last worked."""

from hub.migrate.steps import schema_file

__depends__ = {"0042_outbox"}

steps = [
    schema_file(
        "43_jobs.sql",
        sha256="8217afa0951cff29849839e66b54336122a9ccf7a2399bbd6121908c5d4412aa",
    ),
]
