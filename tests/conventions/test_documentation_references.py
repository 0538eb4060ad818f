"""The documentation names only files and database objects that exist."""

import re
from functools import cache
from pathlib import Path

import pytest

from hub import paths
from tests.support.context import Connection

PAGES = [
    *sorted(path for path in (paths.root() / "docs").rglob("*.md") if path.name != "specification.md"),
    *sorted(paths.root().glob("*.md")),
]
"""docs/specification.md has a test of its own."""

_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:sql|py|tests|docs|docker|migrations|requirements)/[\w./-]*\w(?:/)?")
_PLACEHOLDER = "NN"
_OBJECT = re.compile(r"(?:app|auth|jobs|api)\.\w+")

_OBJECTS = """
select n.nspname || '.' || o.name from (
  select relnamespace as schema, relname as name from pg_class
  union all select pronamespace, proname from pg_proc
  union all select typnamespace, typname from pg_type
) as o join pg_namespace as n on n.oid = o.schema
where n.nspname in ('app', 'auth', 'jobs', 'api')
union all select config_key from app.system_configs
"""


@cache
def code_spans(page: Path) -> frozenset[str]:
    """The inline code of a page."""
    return frozenset(_CODE.findall(page.read_text()))


def relative(page: Path) -> str:
    """The page's path in the checkout."""
    return str(page.relative_to(paths.root()))


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_named_file_exists(page: Path) -> None:
    named = {span for span in code_spans(page) if _PATH.fullmatch(span) and _PLACEHOLDER not in span}
    assert sorted(name for name in named if not (paths.root() / name).exists()) == []


def test_every_named_database_object_exists(db: Connection) -> None:
    known = {row[0] for row in db.execute(_OBJECTS)}
    missing = {
        f"{relative(page)}: {span}"
        for page in PAGES
        for span in code_spans(page)
        if _OBJECT.fullmatch(span) and span not in known
    }
    assert sorted(missing) == []
