"""hub demo: the stack comes up, and one order lives from price to points through the real HTTP API."""

from contextlib import ExitStack
from contextlib import closing as closing_of

from devtools.tryton.accounting_client import Books
from hub.console import out, say
from hub.demo import closing, erp
from hub.demo.context import Stage
from hub.demo.narrator import Narrator
from hub.demo.story import play
from hub.ports import HOST
from hub.seed import load
from hub.stack.programs import messages_file
from hub.stack.up import up

__all__ = ["Narrator", "Stage", "play", "run"]


def run(*, with_erp: bool = False) -> None:
    """Bring the stack up, load the demo data, tell the story; raises UserError where it goes otherwise."""
    stack = up()
    with out.status("loading the demo data ..."):
        counts = load(stack.settings.database_url)
    if counts:
        say("loaded " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    else:
        say("the demo data is already there")
    tryton = None
    if with_erp:
        tryton = erp.furnish(stack, out)
        stack = up(quiet=True)  # Tryton and the ERP adapter run with the others from now on
    narrator = Narrator(out)
    with (
        Stage.open(
            narrator,
            gateway_url=stack.settings.gateway_url,
            database_url=stack.settings.database_url,
            jwt_secret=stack.settings.jwt_secret,
            messages=messages_file(stack),
        ) as stage,
        ExitStack() as open_,
    ):
        if tryton:
            url = f"http://{HOST}:{stack.settings.trytond_port}"
            stage.books = open_.enter_context(closing_of(Books(url, tryton.database, tryton.password)))
        play(stage)
        closing.show(stage)
