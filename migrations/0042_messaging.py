"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="fa74f2b9ede8804f0300668210cc25959c8c348f4948cb0652acf44e8911474f",
    ),
]
