"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="bfc2a5aca2e1a3a87c592e7dd5cc67f6f80b9bfbfed0a13b89fb4c208d442cdb",
    ),
]
