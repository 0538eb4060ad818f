"""Health: /health/live while the event loop turns, /health/ready while every required check is fine.

An orchestrator restarts a program that is not live; it sends no requests to one that is not ready.
"""

from collections.abc import Callable
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from prometheus_client import Gauge

Check = Callable[[], str]
"""Returns why something is wrong, empty if it is fine. It answers from memory and never raises."""

_CHECK = Gauge("hub_check_ok", "1 while the check of /health/ready is fine", ["check"])


class Health:
    """The checks of an adapter; `details` are added to the body of /health."""

    def __init__(self, details: Callable[[], dict[str, Any]] = dict) -> None:
        self._checks: dict[str, Check] = {}
        self._optional: set[str] = set()
        self.details = details

    def add(self, name: str, check: Check, *, required: bool = True) -> None:
        """Add a check under a name; a check of the same name is replaced.

        An adapter whose check of something optional fails is degraded, and still ready.
        """
        self._checks[name] = check
        (self._optional.discard if required else self._optional.add)(name)
        _CHECK.labels(name).set_function(lambda: float(not check()))

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether all is well, and the state of each check."""
        found = {name: check() for name, check in self._checks.items()}
        checks = {name: {"ok": not reason, "detail": reason} for name, reason in found.items()}
        failed = {name for name, reason in found.items() if reason}
        ready = failed <= self._optional
        status = "ok" if not failed else "degraded" if ready else "trouble"
        return ready, {"status": status, "checks": checks}


class HealthController(Controller):
    """The routes below /health; the dependency `health` is the adapter's `Health`."""

    path = "/health"

    @get("/live", sync_to_thread=False)
    def live(self) -> dict[str, str]:
        """200 as long as the program can answer."""
        return {"status": "ok"}

    @get("/ready", sync_to_thread=False)
    def ready(self, health: NamedDependency[Health]) -> Response[dict[str, Any]]:
        """200 if every required check is fine, otherwise 503; with the reasons."""
        ready, body = health.report()
        return Response(body, status_code=200 if ready else 503)

    @get("/", sync_to_thread=False)
    def all(self, health: NamedDependency[Health]) -> Response[dict[str, Any]]:
        """Like /health/ready, with the adapter's details."""
        ready, body = health.report()
        return Response(body | health.details(), status_code=200 if ready else 503)
