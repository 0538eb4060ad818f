"""hub migrate, hub repin."""

from hub import paths, settings
from hub.console import say
from hub.errors import UserError


def migrate(database: str | None, *, require_cron: bool) -> None:
    """Bring a database to the present; raises UserError or MigrationError."""
    from hub.migrate import migrate as run  # noqa: PLC0415 - `hub --help` need not load a driver

    known = settings.read()
    url = database or known.database_url
    if not url:
        if not known.superuser_password:
            raise UserError(
                "which database?", hint="./hub up makes one; else --database URL or HUB_DATABASE_URL"
            )
        url = settings.ensure(paths.data_dir().resolve()).database_url
    report = run(
        url,
        require_cron=require_cron,
        jwt_secret=known.jwt_secret or None,
        authenticator_password=known.authenticator_password or None,
        say=say,
    )
    for line in report.lines():
        say(line)


def repin() -> None:
    """Pin sql/schema files as they are; raises MigrationError for a released one."""
    from hub.migrate.pins import repin as run  # noqa: PLC0415
    from hub.migrate.tree import Tree  # noqa: PLC0415

    for line in run(Tree(paths.sql_root(), paths.migrations_root())) or ["nothing to do"]:
        say(line)
