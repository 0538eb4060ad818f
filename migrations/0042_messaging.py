"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="f55edeae95528bc6cd667c4e0a05fd0f3186758c6296b8403e3b4f369f2d8c80",
    ),
]
