"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="be78b151afd9cf8c2c41d7362adeb10bd8196d0256fab66f17956eb020119355",
    ),
]
