"""The outbox (messages to send) and the inbox (webhooks received): D-6.outbox-1 to D-6.email-1."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="3dad720de7b1feb116e29df2981726ba6584cae1853f69dddee488ca17de1896",
    ),
]
