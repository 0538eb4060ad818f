"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="ecde2cae0ed7c5a66340afcb46e5840cca37620f27dceaac7753a1448c38dce7",
    ),
]
