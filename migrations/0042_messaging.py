"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="33cb54f3a4e298deaa2145f803dbd6fc5baf4e930f7f78137930237e5265898c",
    ),
]
