"""Migrates the database of an installation, with what its settings say."""

from hub.console import say
from hub.migrate.report import Report
from hub.migrate.runner import migrate
from hub.seed import published
from hub.settings import Settings


def migrate_installation(url: str, settings: Settings, *, require_cron: bool = False) -> Report:
    """Migrate a database and store the secrets and proxies of `settings`, as far as they are set.

    Raises as `migrate` does, and UserError for accounts with the demo's password outside a demonstration.
    """
    report = migrate(
        url,
        require_cron=require_cron,
        jwt_secret=settings.jwt_secret.get_secret_value(),
        jwt_previous=settings.jwt_previous,
        authenticator_password=settings.authenticator_password.get_secret_value(),
        cache_password=settings.cache_password.get_secret_value(),
        trusted_proxies=settings.trusted_proxies,
        say=say,
    )
    if not settings.demo:
        published.refuse(url)
    return report
