"""hub demo: the stack comes up, and one order lives from price to points through the real HTTP API."""

from hub.console import out, say
from hub.demo import closing
from hub.demo.narrator import Narrator
from hub.demo.stage import Stage
from hub.demo.story import play
from hub.seed import load
from hub.stack.programs import messages_file
from hub.stack.up import up

__all__ = ["Narrator", "Stage", "play", "run"]


def run() -> None:
    """Bring the stack up, load the demo data, tell the story; raises UserError where it goes otherwise."""
    stack = up()
    with out.status("loading the demo data ..."):
        counts = load(stack.settings.database_url)
    if counts:
        say("loaded " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    else:
        say("the demo data is already there")
    narrator = Narrator(out)
    with Stage.open(
        narrator,
        gateway_url=stack.settings.gateway_url,
        database_url=stack.settings.database_url,
        jwt_secret=stack.settings.jwt_secret,
        messages=messages_file(stack),
    ) as stage:
        play(stage)
        closing.show(stage)
