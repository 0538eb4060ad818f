"""hub seed: loads regions, catalogue, partners, agents and sub-distributors, the same on every run."""

from hub import paths, settings
from hub.console import out, say
from hub.errors import UserError
from hub.seed.dataset import PASSWORD
from hub.seed.load import Counts, load

__all__ = ["PASSWORD", "Counts", "load", "run"]


def run(database: str | None = None) -> None:
    """Load the demo data into a migrated, empty database; a second call changes nothing.

    Raises UserError for a database that contains other data or is not migrated.
    """
    external = settings.external_database_url(database)
    if external and not settings.from_environment().demo:
        raise UserError(
            "this would add accounts with a published password to a database that others may reach",
            hint="set HUB_DEMO=1 for a database that serves demonstrations only",
        )
    url = settings.database_url(database)
    with out.status("loading the demo data ..."):
        counts = load(url)
    if not external:
        settings.mark_as_demo(paths.data_dir().resolve())
    if counts is None:
        say("the demo data is already loaded")
        return
    say("loaded " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    say(f"the password of every account: {PASSWORD}")
