"""Errors of the benchmarks."""

from hub.errors import UserError


class BenchError(UserError):
    """A round failed, or a precondition of the measurement does not hold."""
