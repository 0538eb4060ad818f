"""What the design adds: the outbox (messages owed) and the inbox (what came back)."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_messaging.sql",
        sha256="db4cf9c7d91fb9f205dc699bba2b6ad0b0616ab369da9ab51542d00d28789bfc",
    ),
]
