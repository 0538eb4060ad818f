"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="6101f9237fa8089ecc8339f06e09d4f444d517c28f9c3140bfa0c9efb65a8a0b",
    ),
]
