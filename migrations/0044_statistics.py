"""What the mission asks for in 6.1: monthly spend and order count of each partner, materialized."""

from hub.migrate.steps import schema_file

__depends__ = {"0043_jobs"}

steps = [
    schema_file(
        "44_statistics.sql",
        sha256="d3eb3dd5b0379f49348ac0bf29890cd50536fce5e5347f33031a8863fb02dc68",
    ),
]
