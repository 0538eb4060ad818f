"""Phase 2, step 3 (M-7.2-3): prices of a tier and their periods."""

from hub.migrate.steps import schema_file

__depends__ = {"0021_orders"}

steps = [
    schema_file(
        "22_pricing.sql",
        sha256="70a3ceb8e211939ff46f8646fbf3475875fbea8a1bde9daae00446b401a45829",
    ),
]
