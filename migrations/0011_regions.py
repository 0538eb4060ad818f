"""Phase 1, step 1: regions, the tree along which orders find their sub-distributor."""

from hub.migrate.steps import schema_file

__depends__ = {"0000_foundation"}

steps = [
    schema_file(
        "11_regions.sql",
        sha256="704cf5a64e71e310765166af322c8caa495e9d23e6723d0b8f1eafc88bc57865",
    ),
]
