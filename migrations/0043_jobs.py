"""The schedule of the jobs and their last runs (D-6.cron-1 to D-6.cron-4)."""

from hub.migrate.steps import schema_file

__depends__ = {"0042_messaging"}

steps = [
    schema_file(
        "43_jobs.sql",
        sha256="303f387652e02e9be7b82aacafaa096fcccf9d5272e52cfb22bc575a241aafaa",
    ),
]
