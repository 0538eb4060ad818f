"""`hub demo`: bring the stack up and walk one order from quote to points through the real HTTP API."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from hub import pages, settings
from hub.console import out, say
from hub.demo import summary
from hub.demo.context import DemoContext
from hub.demo.erp import Erp
from hub.demo.narrator import Narrator
from hub.demo.walkthrough import walk_through
from hub.seed import load
from hub.stack.layout import Stack
from hub.stack.programs import messages_file
from hub.stack.up import up

__all__ = ["DemoContext", "Erp", "Narrator", "run", "walk_through"]


def run(
    connect_erp: Callable[[Stack], AbstractContextManager[Erp]] | None = None, *, with_replica: bool = False
) -> None:
    """Bring the stack up, load the demo data and play the demo.

    `connect_erp` provisions an ERP beside the stack and connects to it. Without it headquarters enters the
    stock; where config erp.kind names an ERP, the demo plays its part by calls of the API.

    `with_replica` adds a standby and a gateway for reports. Raises UserError at the first step that fails.
    """
    stack = up(with_replica=with_replica)
    with out.status("loading the demo data ..."):
        counts = load(stack.settings.database_url.get_secret_value())
    settings.mark_as_demo(stack.folder)
    if counts:
        say("loaded " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    else:
        say("the demo data is already loaded")
    with (
        connect_erp(stack) if connect_erp else nullcontext() as erp,
        DemoContext.open(
            Narrator(out),
            gateway_url=stack.settings.gateway_url,
            database_url=stack.settings.database_url.get_secret_value(),
            jwt_secret=stack.settings.jwt_secret.get_secret_value(),
            messages=messages_file(stack),
            erp=erp,
        ) as demo,
    ):
        walk_through(demo)
        summary.show(
            demo,
            cache_url=stack.settings.cache_http_url,
            reports_url=stack.settings.reports_url if stack.has_replica else "",
            pages_url=stack.settings.pages_url if pages.is_built() else "",
        )
