"""What the design adds: the outbox (messages owed) and the inbox (what came back)."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_outbox.sql",
        sha256="a93e6f6132a9ac69e9f668990b897bb1ce968a0b988d750e31805b516033928e",
    ),
]
