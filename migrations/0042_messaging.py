"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="86bd7b712bddff28e03f5cd8619ccfc02022b2ca40271bdd64382def4fe8ffb1",
    ),
]
