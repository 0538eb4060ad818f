"""The schedule of the jobs and their last runs (D-6.cron-1 to D-6.cron-4)."""

from hub.migrate.steps import schema_file

__depends__ = {"0042_messaging"}

steps = [
    schema_file(
        "43_jobs.sql",
        sha256="e46c3b816eb9ee22c7fa9cf6f83fc8e1d1b0ed4bf69fe365494dd09164e62ab0",
    ),
]
