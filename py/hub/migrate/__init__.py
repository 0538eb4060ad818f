"""`hub migrate`: brings an empty database, or any earlier release's, to the present."""

from hub.migrate.errors import MigrationError
from hub.migrate.report import Report
from hub.migrate.runner import migrate

__all__ = ["MigrationError", "Report", "migrate"]
