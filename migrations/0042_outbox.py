"""What the design adds: the outbox (messages owed) and the inbox (what came back)."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_outbox.sql",
        sha256="77fc09734cc32a93e854e921b9df803fa2ffe536e0544e2a90de4d6ba31c3fc7",
    ),
]
