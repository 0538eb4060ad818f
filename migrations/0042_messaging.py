"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="4bc536aff93c6805be7c43ff80d6798fe25ad42c60912370bb00858a95bfcaeb",
    ),
]
