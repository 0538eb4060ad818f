"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="d80c14e862611ab5d55b5be68726e84e3976ab7773cbaedeeea0a295ddd843a6",
    ),
]
