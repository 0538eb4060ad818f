"""docs/scaling.md places each table of the catalogue, and names columns and calls that exist."""

import re
from typing import Any

import psycopg
import pytest

from hub import paths

PLACES = {"distributed", "reference", "coordinator"}

ROW = re.compile(r"^\| `((?:app|auth|jobs)\.\w+)` \| (\w+) \| (add )?(?:`(\w+)`)? ?\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> str:
    return (paths.root() / "docs" / "scaling.md").read_text()


def names(conn: psycopg.Connection[Any], query: str) -> list[str]:
    return [row[0] for row in conn.execute(query.encode()).fetchall()]


def test_each_table_has_one_place(db: psycopg.Connection[Any], page: str) -> None:
    tables = names(
        db,
        "select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace in ('app'::regnamespace, 'auth'::regnamespace, 'jobs'::regnamespace)"
        " and c.relkind in ('r', 'p', 'm') and not c.relispartition",
    )
    assert [row[0] for row in ROW.findall(page)] == sorted(tables), "docs/scaling.md: where does it belong?"


def test_distribution_columns_exist_and_are_never_null(db: psycopg.Connection[Any], page: str) -> None:
    for table, place, missing, column in ROW.findall(page):
        assert place in PLACES
        assert bool(column) == (place == "distributed"), table
        if column:
            found = names(
                db,
                "select a.attname from pg_attribute as a"
                f" where a.attrelid = '{table}'::regclass and a.attname = '{column}' and a.attnotnull",
            )
            assert bool(found) != bool(missing), f"{table}.{column}"


def test_distributed_tables_refer_to_reference_tables_or_by_partner(
    db: psycopg.Connection[Any], page: str
) -> None:
    """A foreign key to the coordinator could not be kept."""
    place = {row[0]: row[1] for row in ROW.findall(page)}
    keys = db.execute(
        "select conrelid::regclass::text || ' ' || confrelid::regclass::text from pg_constraint"
        " where contype = 'f' and conparentid = 0 and connamespace = 'app'::regnamespace"
    ).fetchall()
    for key in keys:
        table, referred = key[0].split()
        if place[table] == "distributed":
            assert place[referred] != "coordinator" or referred == "app.messages", key
        if place[table] == "reference":
            assert place[referred] == "reference", key


def test_calls_that_cross_shards_exist(db: psycopg.Connection[Any], page: str) -> None:
    section = page[page.index("### Calls that cross shards") :]
    named = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line)
    }
    known = names(
        db,
        "select proname::text from pg_proc where pronamespace = 'api'::regnamespace"
        " union select relname::text from pg_class where relnamespace = 'api'::regnamespace",
    )
    assert named - set(known) == set()
