"""hub migrate."""

from hub import paths, settings
from hub.console import say


def migrate(database: str | None, *, require_cron: bool, dry_run: bool = False) -> None:
    """Migrate a database to the latest version; raises UserError or MigrationError.

    A database named by `database` or HUB_DATABASE_URL may belong to another installation: it receives the
    secrets of the environment only, never those of the checkout's stack. With `dry_run` it is only read.
    """
    from hub.migrate import preview  # noqa: PLC0415 - `hub --help` need not load a driver
    from hub.migrate.installation import migrate_installation  # noqa: PLC0415

    external = settings.external_database_url(database)
    folder = paths.data_dir().resolve()
    if not external and not settings.env_file(folder).exists():
        raise settings.no_database()
    known = settings.from_environment() if external else settings.ensure(folder)
    url = external or known.database_url.get_secret_value()
    if dry_run:
        lines = preview(url)
    else:
        settings.check_secrets(known)
        lines = migrate_installation(url, known, require_cron=require_cron).lines()
    for line in lines:
        say(line)
