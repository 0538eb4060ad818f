"""hub seed: the demo's regions, catalogue, partners, agents and sub-distributors, the same on every run."""

from hub import settings
from hub.console import out, say
from hub.errors import UserError
from hub.seed.dataset import PASSWORD
from hub.seed.load import Counts, load

__all__ = ["PASSWORD", "Counts", "load", "run"]


def run(database: str | None = None) -> None:
    """Load the demo data into a migrated, empty database; say so where it is there already.

    Raises UserError for a database that holds other data, or is not migrated.
    """
    url = database or settings.read().database_url
    if not url:
        raise UserError("which database?", hint="./hub up makes one; else --database URL or HUB_DATABASE_URL")
    with out.status("loading the demo data ..."):
        counts = load(url)
    if counts is None:
        say("the demo data is already there")
        return
    say("loaded " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    say(f"everybody's password: {PASSWORD}")
