"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="20493e9fe26d02d35da7b8c31c8808bb77c49bc10932af7a4c728961d124a6d0",
    ),
]
