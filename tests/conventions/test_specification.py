"""docs/specification.md names objects, files and tests that exist, for every requirement."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hub.migrate.jobs import read_job

Db = psycopg.Connection[Any]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "specification.md"
MISSION: dict[str, Any] = tomllib.loads((Path(__file__).parent / "mission.toml").read_text())

ID = re.compile(r"M-\d(\.\d)?-\d+|D-\d\.[a-z]+-\d+")
CITED = re.compile(r"\b[MD]-\d(?:\.[\da-z]+)?-\d+\b")
UNIDENTIFIED = re.compile(
    r"\bmission(?:'s)?\b[^.\n]{0,30}?(?:\d\.\d|\b(?:sections?|appendix) \d)"  # the mission's section 6.2
    r"|\bmission \(?\d|\bdesign's\b|\b(?:the|this) design\b",
    re.IGNORECASE,
)
REFERENCE = re.compile(
    r"(?P<kind>table|view|index|enum|domain|function) (app|api|auth|jobs)\.\w+"
    r"|(column|constraint|trigger|policy) (app|api|auth|jobs)\.\w+\.\w+"
    r"|role \w+|job [a-z-]+|config [a-z._]+|file [\w./-]+"
)
PLANNED = re.compile(r"planned: [a-z' ]+")
NODE = re.compile(r"(?P<file>tests/[\w/]+/test_\w+\.py)(::(?P<test>(\w+::)?test_\w+))?")

CATALOG = """
with ours as (select n.oid, n.nspname from pg_namespace n where n.nspname in ('app', 'api', 'auth', 'jobs')),
relations as (
  select c.oid, c.relname, c.relkind, o.nspname
  from pg_class c join ours o on o.oid = c.relnamespace where not c.relispartition
)
select
  case when r.relkind in ('r', 'p') then 'table ' when r.relkind in ('v', 'm') then 'view ' else 'index ' end
  || r.nspname || '.' || r.relname
from relations r where r.relkind in ('r', 'p', 'v', 'm', 'i', 'I')
union all
select 'column ' || r.nspname || '.' || r.relname || '.' || a.attname
from pg_attribute a join relations r on r.oid = a.attrelid where a.attnum > 0 and not a.attisdropped
union all
select 'constraint ' || r.nspname || '.' || r.relname || '.' || c.conname
from pg_constraint c join relations r on r.oid = c.conrelid
union all
select 'trigger ' || r.nspname || '.' || r.relname || '.' || t.tgname
from pg_trigger t join relations r on r.oid = t.tgrelid where not t.tgisinternal
union all
select 'policy ' || r.nspname || '.' || r.relname || '.' || p.polname
from pg_policy p join relations r on r.oid = p.polrelid
union all
select case t.typtype when 'e' then 'enum ' else 'domain ' end || o.nspname || '.' || t.typname
from pg_type t join ours o on o.oid = t.typnamespace where t.typtype in ('e', 'd')
union all
select 'function ' || o.nspname || '.' || p.proname from pg_proc p join ours o on o.oid = p.pronamespace
union all
select 'role ' || r.rolname from pg_roles r
union all
select 'config ' || c.config_key from app.system_configs c
"""


@dataclass(frozen=True)
class Row:
    """One requirement: `implemented` and `proved` are the code spans of their cells."""

    id: str
    requirement: str
    implemented: list[str]
    proved: list[str]
    malformed: list[str]

    @property
    def planned(self) -> bool:
        """True for a requirement that is not built yet."""
        return any(reference.startswith("planned:") for reference in self.implemented)


def _cells(tokens: list[Token]) -> Iterator[list[Token]]:
    """The inline tokens of each row of a table, headers left out."""
    row: list[Token] = []
    for before, token in pairwise(tokens):
        if before.type == "td_open":
            row.append(token)
        elif before.type == "tr_close" and row:
            yield row
            row = []


def read_rows(text: str) -> list[Row]:
    """Every row of the page's tables with four columns."""
    rows = []
    for cells in _cells(MarkdownIt("commonmark").enable("table").parse(text)):
        if len(cells) != 4:
            continue
        spans = [[child for child in cell.children or [] if child.content.strip()] for cell in cells]
        rows.append(
            Row(
                cells[0].content,
                cells[1].content,
                [child.content for child in spans[2] if child.type == "code_inline"],
                [child.content for child in spans[3] if child.type == "code_inline"],
                [child.content for span in spans[2:] for child in span if child.type != "code_inline"],
            )
        )
    return rows


@cache
def defined_tests(file: str) -> frozenset[str]:
    """Names of the tests in a file; a method is `Class::test`. Empty where there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    body = ast.parse(path.read_text()).body
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node.name for node in body if isinstance(node, functions)]
    for parent in body:
        if isinstance(parent, ast.ClassDef):
            found += [f"{parent.name}::{node.name}" for node in parent.body if isinstance(node, functions)]
    return frozenset(name for name in found if name.split("::")[-1].startswith("test_"))


def _wrong_reference(reference: str, known: set[str]) -> str | None:
    if reference.startswith("planned:"):
        return None if PLANNED.fullmatch(reference) else "malformed"
    if not REFERENCE.fullmatch(reference):
        return "malformed"
    kind, name = reference.split(" ")
    exists = (ROOT / name).exists() if kind == "file" else reference in known
    return None if exists else f"there is no such {kind}"


def _wrong_node(node: str) -> str | None:
    match = NODE.fullmatch(node)
    if not match:
        return "malformed"
    tests = defined_tests(match["file"])
    exists = match["test"] in tests if match["test"] else bool(tests)
    return None if exists else "there is no such test"


def offenders(rows: list[Row], known: set[str]) -> list[str]:
    """What is wrong with these rows, given the references that the database and sql/jobs know."""
    count = Counter(row.id for row in rows)
    found = [f"{row_id}: used {n} times" for row_id, n in count.items() if n > 1]
    for row in rows:
        if not ID.fullmatch(row.id):
            found.append(f"{row.id}: malformed id")
        if not row.requirement:
            found.append(f"{row.id}: no requirement")
        found += [f"{row.id}: not a reference: {text}" for text in row.malformed]
        for reference in row.implemented:
            if wrong := _wrong_reference(reference, known):
                found.append(f"{row.id}: {reference}: {wrong}")
        for node in row.proved:
            if wrong := _wrong_node(node):
                found.append(f"{row.id}: {node}: {wrong}")
        if not row.implemented:
            found.append(f"{row.id}: no implementation")
        if row.planned and len(row.implemented) > 1:
            found.append(f"{row.id}: both planned and implemented")
        if not row.planned and not row.proved:
            found.append(f"{row.id}: no test")
    return found


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_rows(PAGE.read_text())


@pytest.fixture
def known(db: Db) -> set[str]:
    jobs = {f"job {read_job(path).name}" for path in (ROOT / "sql" / "jobs").glob("*.sql")}
    return {reference for (reference,) in db.execute(CATALOG.encode())} | jobs


def test_every_row_of_the_page_is_a_requirement(rows: list[Row]) -> None:
    listed = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [MD]-", line)]
    assert len(rows) == len(listed)
    assert len(rows) > 400


def test_every_requirement_has_live_references(rows: list[Row], known: set[str]) -> None:
    found = offenders(rows, known)
    assert not found, "\n" + "\n".join(found)


def test_every_object_of_the_requirements_is_named(rows: list[Row], known: set[str]) -> None:
    named = {reference for row in rows for reference in row.implemented}
    kinds = ("table app.", "enum app.", "policy app.", "config ", "job ")
    required = {reference for reference in known if reference.startswith(kinds)}
    required |= {f"index app.{name}" for name in MISSION["indexes"]}
    missing = sorted(required - named)
    assert not missing, "\n" + "\n".join(missing)


HERE = "tests/conventions/test_specification.py"


def page(*rows: tuple[str, str, str, str]) -> list[Row]:
    """The rows of a page that has these cells."""
    cells = [("Id", "Requirement", "Implemented by", "Proved by"), ("---",) * 4, *rows]
    return read_rows("\n".join(f"| {' | '.join(row)} |" for row in cells))


GOOD = ("M-3.7-2", "Points.", "`table app.orders`", f"`{HERE}` `{HERE}::test_a_bad_row_is_named`")


@pytest.mark.parametrize(
    ("row", "offender"),
    [
        (GOOD, "M-3.7-2: used 2 times"),
        (("M-3-x", "Points.", "`planned: points`", ""), "M-3-x: malformed id"),
        (("M-3-1", "", "`planned: points`", ""), "M-3-1: no requirement"),
        (("M-3-1", "Points.", "later", ""), "M-3-1: not a reference: later"),
        (("M-3-1", "Points.", "`planned: #12`", ""), "M-3-1: planned: #12: malformed"),
        (("M-3-1", "Points.", "`planned: a` `table app.orders`", ""), "M-3-1: both planned and implemented"),
        (("M-3-1", "Points.", "", ""), "M-3-1: no implementation"),
        (("M-3-1", "Points.", "`table app.orders`", ""), "M-3-1: no test"),
        (("M-3-1", "Points.", "`app.orders`", ""), "M-3-1: app.orders: malformed"),
        *[
            (("M-3-1", "Points.", f"`{kind} {name}`", ""), f"M-3-1: {kind} {name}: there is no such {kind}")
            for kind, name in (
                ("table", "app.order"),
                ("column", "app.orders.colour"),
                ("constraint", "app.orders.orders_colour_check"),
                ("index", "app.idx_orders_colour"),
                ("enum", "app.colour_enum"),
                ("function", "app.paint"),
                ("trigger", "app.orders._100_paint"),
                ("policy", "app.orders.painters"),
                ("view", "api.colours"),
                ("role", "painter"),
                ("job", "paint-all"),
                ("config", "paint.colour"),
                ("file", "sql/paint.sql"),
            )
        ],
        (("M-3-1", "Points.", "`table app.orders`", "`test_points`"), "M-3-1: test_points: malformed"),
        *[
            (("M-3-1", "Points.", "`table app.orders`", f"`{node}`"), f"M-3-1: {node}: there is no such test")
            for node in (f"{HERE}::test_renamed", "tests/conventions/test_moved.py")
        ],
    ],
)
def test_a_bad_row_is_named(row: tuple[str, str, str, str], offender: str, known: set[str]) -> None:
    assert offenders(page(GOOD), known) == []
    assert offender in offenders(page(GOOD, row), known)


def _sources() -> Iterator[tuple[str, str]]:
    """Each line of SQL and Python of the repository, with its place."""
    for folder in ("sql", "py", "tests", "migrations"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".sql", ".py") and path != Path(__file__).resolve():
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    yield f"{path.relative_to(ROOT)}:{number}", line


def test_cited_ids_exist(rows: list[Row]) -> None:
    ids = {row.id for row in rows}
    cited = [(place, found) for place, line in _sources() for found in CITED.findall(line)]
    wrong = [f"{place}: {found}" for place, found in cited if found not in ids]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "comment",
    [
        "Mission 6.2.",
        "the mission (5.2)",
        "The mission's section 3",
        "what the design adds",
        "The design's way",
    ],
)
def test_a_citation_without_an_id_is_found(comment: str) -> None:
    assert UNIDENTIFIED.search(comment)


def test_requirements_are_cited_by_id() -> None:
    wrong = [f"{place}: {line.strip()}" for place, line in _sources() if UNIDENTIFIED.search(line)]
    assert not wrong, "\n" + "\n".join(wrong)
