"""Enum types of the mission (appendix 9) and the identifier function that every table uses."""

from hub.migrate.steps import schema_file

__depends__: set[str] = set()

steps = [
    schema_file(
        "00_foundation.sql",
        sha256="fe05d6d293eaaab19765c20ff3f7c4643f39a61cbeca60ca5e520387815702c7",
    ),
]
