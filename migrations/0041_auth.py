"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="b579eb2fb44291ea0e6fd058afa34acb17da26d9899d6c4bacf8ff3a216a3691",
    ),
]
