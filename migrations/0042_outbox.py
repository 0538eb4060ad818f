"""What the design adds: the outbox (messages owed) and the inbox (what came back)."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_outbox.sql",
        sha256="c0c03ffaa34ca4dca48afc7f43f5663ff7eb6401aea63a77d76238f13c33ffdf",
    ),
]
