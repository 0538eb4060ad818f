"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="60468df92b49344e384cc8b5f8d96c3234ab02d32df4e1ac4a197bf9a3b94717",
    ),
]
