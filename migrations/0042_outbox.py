"""What the design adds: the outbox (messages owed) and the inbox (what came back)."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_outbox.sql",
        sha256="9f7bc1ef692228a68f9fc06113f8eca97e5fbe983f6afb25ce2278735c3c140e",
    ),
]
