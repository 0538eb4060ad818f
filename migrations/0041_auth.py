"""Sign-in (D-5.anon-1 to D-5.all-3). No caller's role has any right on these tables."""

from hub.migrate.steps import schema_file

__depends__ = {"0035_config"}

steps = [
    schema_file(
        "41_auth.sql",
        sha256="47a931b9d6f00df027cfdf127ad3466860ef233a33ec057ea90c975c135befbd",
    ),
]
