"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="473e7d0f4116a46836a51f8193d0325a92d8f535931e14a0794d6c47528f54aa",
    ),
]
