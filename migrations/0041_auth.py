"""What the design adds: sign-in. No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="d446e64127b2ed08ce8e0b0e760db6d9472cd80cdba9f15b1c08f0ed5033b46c",
    ),
]
