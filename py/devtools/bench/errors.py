"""What stops a bench."""

from hub.errors import UserError


class BenchError(UserError):
    """A round that failed, or a bench that would not measure what it says."""
