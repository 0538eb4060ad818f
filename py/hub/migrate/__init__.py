"""`hub migrate`: migrates an empty database, or one of an earlier release, to the latest version."""

from hub.migrate.errors import MigrationError
from hub.migrate.report import Report
from hub.migrate.runner import migrate, preview

__all__ = ["MigrationError", "Report", "migrate", "preview"]
