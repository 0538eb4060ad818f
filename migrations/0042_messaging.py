"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="b35720d7d278712ebbaebdc51ee7bc5c2b76b88e40cd47e8ed0f5f50c2558b9f",
    ),
]
