"""What the design adds: the outbox (messages owed) and the inbox (what came back)."""

from hub.migrate.steps import schema_file

__depends__ = {"0041_auth"}

steps = [
    schema_file(
        "42_outbox.sql",
        sha256="7750e631aaf888cde80a1c71618e3fbd2b7609086f944dfcf801a2730f947b60",
    ),
]
