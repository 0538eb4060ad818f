"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="5f62c2046246af63631beb55c1274be8a5250dc041153fdf157431b755c84e49",
    ),
]
