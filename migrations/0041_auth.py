"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="12d4341b49650c8b08a2051278be37825a11dfc86ade7a4c882a927a3d51eee8",
    ),
]
