"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="a489a8906dee532dedd4032e57ef5dbd8f40a4552b84d72c6c545ebdfc76935a",
    ),
]
