"""hub whatsapp."""

import asyncio
import json

import httpx
import psycopg
from pydantic import ValidationError
from pywa_async.errors import WhatsAppError

from adapters.whatsapp import template_check
from adapters.whatsapp.errors import ForeignAnswerError
from adapters.whatsapp.settings import Settings
from adapters.whatsapp.template_export import QUERY, Template, submissions
from hub import paths, settings
from hub.console import say
from hub.errors import UserError
from hub.migrate.bootstrap import OWNER

UNREACHABLE = 2
"""Exit code if nothing could be compared."""


def templates(check: bool, database: str | None) -> None:
    """Print the templates to submit to Meta, or compare what Meta has with them.

    Raises UserError if they differ (exit code 1), or if Meta or the database cannot be asked (2).
    """
    try:
        with psycopg.connect(settings.database_url(database), connect_timeout=10) as conn:
            conn.execute(f"set role {OWNER}")
            rows = conn.execute(QUERY).fetchall()
    except psycopg.Error as error:
        raise UserError(f"the templates cannot be read: {str(error).strip()}", code=UNREACHABLE) from None
    needed = submissions(Template(*row) for row in rows)
    if not check:
        print(json.dumps(needed, ensure_ascii=False, indent=2))
        return
    adapter = _adapter_settings()
    problems = template_check.compare(needed, _fetch(adapter), adapter.whatsapp_language)
    for problem in problems:
        say(problem)
    if problems:
        raise UserError(
            f"{len(problems)} problems with the {len(needed)} templates",
            hint="docs/whatsapp/templates.md has each of them ready to submit",
        )
    say(f"Meta has all {len(needed)} templates as they are needed")


def _adapter_settings() -> Settings:
    values = settings.read_adapter(paths.data_dir(), "WHATSAPP")
    # The check calls Meta only: the key of the gateway is not used.
    values |= {"jwt_secret": "-" * 32}
    try:
        found = Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UserError(str(error.errors()[0]["msg"]), code=UNREACHABLE) from None
    missing = [
        f"HUB_{name.upper()}"
        for name in ("whatsapp_token", "whatsapp_business_account_id")
        if not getattr(found, name)
    ]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not set", hint="docs/whatsapp/index.md, Set up", code=UNREACHABLE
        )
    return found


def _fetch(adapter: Settings) -> list[template_check.Json]:
    try:
        return asyncio.run(template_check.fetch(adapter))
    except WhatsAppError as error:
        raise UserError(f"Meta refuses: {error.code} {error.message}", code=UNREACHABLE) from None
    except (ForeignAnswerError, httpx.HTTPError) as error:
        raise UserError(
            f"Meta cannot be reached: {error or type(error).__name__}", code=UNREACHABLE
        ) from None
