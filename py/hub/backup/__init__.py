"""Backups: pgBackRest's repository of a cluster, restores to a moment, and erasures that are repeated."""
