"""Waiting for what happens in another thread, process or database session."""

import time
from collections.abc import Callable
from typing import Any


def wait_until(
    condition: Callable[[], Any],
    seconds: float = 20,
    *,
    interval: float = 0.01,
    details: Callable[[], str] = lambda: "",
) -> Any:
    """The first true value of `condition`, called every `interval` seconds.

    Raises AssertionError with `details` after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds {details()}"
        time.sleep(interval)
    return value
