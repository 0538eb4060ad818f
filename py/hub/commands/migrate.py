"""hub migrate."""

import os

from hub import paths, settings
from hub.console import say
from hub.errors import UserError


def migrate(database: str | None, *, require_cron: bool) -> None:
    """Bring a database to the present; raises UserError or MigrationError.

    A database that is named (by `database` or HUB_DATABASE_URL) may be anybody's: it is given the
    environment's secrets, never those of this checkout's stack.
    """
    from hub.migrate import migrate as run  # noqa: PLC0415 - `hub --help` need not load a driver

    named = database or os.environ.get("HUB_DATABASE_URL")
    folder = paths.data_dir().resolve()
    if not named and not settings.env_file(folder).exists():
        raise UserError("which database?", hint="./hub up makes one; else --database URL or HUB_DATABASE_URL")
    known = settings.from_environment() if named else settings.ensure(folder)
    report = run(
        named or known.database_url,
        require_cron=require_cron,
        jwt_secret=known.jwt_secret or None,
        authenticator_password=known.authenticator_password or None,
        say=say,
    )
    for line in report.lines():
        say(line)
    if report.changed and not named:
        from hub.stack.up import tell_gateway  # noqa: PLC0415

        tell_gateway()
