"""hub migrate."""

from hub import paths, settings
from hub.console import say


def migrate(database: str | None, *, require_cron: bool, dry_run: bool = False) -> None:
    """Migrate a database to the latest version; raises UserError or MigrationError.

    A database named by `database` or HUB_DATABASE_URL may belong to another installation: it receives the
    secrets of the environment only, never those of the checkout's stack. With `dry_run` it is only read.
    """
    from hub.migrate import migrate as run  # noqa: PLC0415 - `hub --help` need not load a driver
    from hub.migrate import preview  # noqa: PLC0415
    from hub.seed.published import refuse as refuse_demo_accounts  # noqa: PLC0415

    external = settings.external_database_url(database)
    folder = paths.data_dir().resolve()
    if not external and not settings.env_file(folder).exists():
        raise settings.no_database()
    known = settings.from_environment() if external else settings.ensure(folder)
    if dry_run:
        for line in preview(external or known.database_url.get_secret_value()):
            say(line)
        return
    settings.check_secrets(known)
    url = external or known.database_url.get_secret_value()
    report = run(
        url,
        require_cron=require_cron,
        jwt_secret=known.jwt_secret.get_secret_value() or None,
        jwt_previous=known.jwt_previous,
        authenticator_password=known.authenticator_password.get_secret_value() or None,
        cache_password=known.cache_password.get_secret_value() or None,
        trusted_proxies=known.trusted_proxies,
        say=say,
    )
    if not known.demo:
        refuse_demo_accounts(url)
    for line in report.lines():
        say(line)
