"""Monthly spend and order count of each partner, materialised (M-6.1-3)."""

from hub.migrate.steps import schema_file

__depends__ = {"0043_jobs"}

steps = [
    schema_file(
        "44_statistics.sql",
        sha256="a653aef1e9b6b2f443d27ac642c9c44f15ab3d38b5bbcec8887ef64e85d6295a",
    ),
]
