"""What the design adds: the outbox (messages owed) and the inbox (what came back)."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_outbox.sql",
        sha256="b15c8e39ada33e17325b444599943506f28af9e34edd4cd8323d537099caec43",
    ),
]
