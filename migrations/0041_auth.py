"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="fea66d556fa99c6f0dfbd3e3d931068b8dbd162865802ca57b5bc296cfefe350",
    ),
]
