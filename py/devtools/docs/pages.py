"""The generated files of docs/, each by its path there."""

import psycopg

from adapters.whatsapp import template_export
from devtools.docs.erd import erd_page
from devtools.docs.lists import config_keys_page, error_codes_page, jobs_page
from devtools.docs.markdown import GENERATED
from devtools.docs.roles import roles_page
from devtools.docs.rpcs import rpcs_page
from devtools.docs.settings import settings_page
from devtools.docs.snapshot import MAJOR, schema_sql

SCHEMA = "schema.sql"


def generate(url: str) -> dict[str, str]:
    """Every generated file, from a freshly migrated database and from the code.

    `schema.sql` is left out unless the server is PostgreSQL 15; the others are the same on every version.
    """
    with psycopg.connect(url) as conn:
        files = {
            "reference/config-keys.md": config_keys_page(conn),
            "reference/erd.md": erd_page(conn),
            "reference/error-codes.md": error_codes_page(conn),
            "reference/jobs.md": jobs_page(),
            "reference/roles.md": roles_page(conn),
            "reference/rpcs.md": rpcs_page(conn),
            "reference/settings.md": settings_page(),
            "whatsapp/templates.md": _templates(conn),
        }
        if conn.info.server_version // 10000 == MAJOR:
            files[SCHEMA] = schema_sql(url)
    return files


def _templates(conn: psycopg.Connection[tuple[str, str, list[str]]]) -> str:
    rows = conn.execute(template_export.QUERY).fetchall()
    return f"{GENERATED}\n\n{template_export.page(template_export.Template(*row) for row in rows)}"
