"""`hub docs`: the generated pages are up to date and complete, and the site builds strictly."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from devtools.docs import catalogue, markdown, mkdocs, mkdocs_environment, pages, settings, snapshot
from devtools.docs.catalogue import ROLES
from hub import paths

DOCS = paths.root() / "docs"

GENERATED = [
    "reference/config-keys.md",
    "reference/erd.md",
    "reference/error-codes.md",
    "reference/jobs.md",
    "reference/roles.md",
    "reference/rpcs.md",
    "reference/settings.md",
    "schema.sql",
    "whatsapp/templates.md",
]


@pytest.fixture(scope="module")
def generated(shared_database: str) -> dict[str, str]:
    """Every generated file, as it should be."""
    return pages.generate(shared_database)


@pytest.fixture
def conn(shared_database: str) -> Iterator[catalogue.Connection]:
    with psycopg.connect(shared_database) as connection:
        yield connection


@pytest.mark.parametrize("name", GENERATED)
def test_generated_page_is_up_to_date(generated: dict[str, str], name: str) -> None:
    if name == pages.SCHEMA and name not in generated:
        pytest.skip(f"only PostgreSQL {snapshot.MAJOR} generates docs/{name}")
    assert generated[name] == (DOCS / name).read_text(), "run ./hub docs"


def test_every_generated_page_says_so_on_its_first_line(generated: dict[str, str]) -> None:
    assert generated.keys() <= set(GENERATED)
    firsts = {text.split("\n", 1)[0] for name, text in generated.items() if name != pages.SCHEMA}
    assert firsts == {markdown.GENERATED}
    for page in DOCS.rglob("*.md"):
        says_so = page.read_text().startswith(markdown.GENERATED)
        assert says_so == (str(page.relative_to(DOCS)) in GENERATED), page


def test_every_call_and_view_is_described_and_listed_for_its_roles(
    generated: dict[str, str], conn: catalogue.Connection
) -> None:
    page = generated["reference/rpcs.md"]
    by_role, described = page.split("\n## Calls\n")
    for call in catalogue.calls(conn):
        assert f"### {call.name} {{#call-{call.name}}}" in described
        assert call.summary
        for role in call.roles:
            assert f"(#call-{call.name})" in by_role.split(f"{{#role-{role}}}")[1].split("###")[0]
    for view in catalogue.relations(conn, "api"):
        assert f"### {view.name} {{#view-{view.name}}}" in described
        assert view.comment


def test_roles_page_states_privileges_as_the_database_does(
    generated: dict[str, str], conn: catalogue.Connection
) -> None:
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in generated["reference/roles.md"].split("## Tables")[1].splitlines()
        if len(cells := line.split("|")) == len(ROLES) + 3
    }
    partner, erp = ROLES.index("partner"), ROLES.index("erp")
    assert rows["`orders`"][partner] == "R"
    assert rows["`inventory`"][partner] == "r"
    assert rows["`orders`"][erp] == ""
    assert rows["`messages`"][partner] == ""
    hidden = generated["reference/roles.md"].split("## Hidden columns")[1].split("## Row security")[0]
    assert "| `partners` | `partner`, `agent`, `admin`, `superadmin` | `password_hash` |" in hidden
    [(policies,)] = conn.execute("select count(*) from pg_policies where schemaname = 'app'").fetchall()
    assert generated["reference/roles.md"].split("## Row security")[1].count("\n| `") == policies


def test_diagram_shows_every_table_and_foreign_key(
    generated: dict[str, str], conn: catalogue.Connection
) -> None:
    page = generated["reference/erd.md"]
    for relation in catalogue.relations(conn, "app"):
        assert f"\n  {relation.name} {{\n" in page
    keys = conn.execute(
        "select count(*) from pg_constraint k join pg_class c on c.oid = k.conrelid"
        " where k.contype = 'f' and c.relnamespace = 'app'::regnamespace and not c.relispartition"
    ).fetchall()[0][0]
    assert page.split("## Overview")[1].split("\n## ", 1)[1].count("--o") == keys
    assert 'partners ||--o{ orders : "partner_id"' in page


def test_settings_page_documents_every_variable_that_the_project_reads() -> None:
    root = paths.root()
    files = [root / "hub", *(root / "py").rglob("*.py"), *(root / "tests").rglob("*.py")]
    mentioned = settings.read_by(f for f in files if "devtools/docs" not in str(f) and f != Path(__file__))
    known = settings.names() | set(settings.INTERNAL)
    assert mentioned - known == set(), "add them to a settings class or to devtools.docs.settings"
    listed = {name for group in settings.OTHERS.values() for name in group} | set(settings.INTERNAL)
    unused = {name for name in listed if name.startswith(settings.PREFIX)} - mentioned
    assert unused == set(), "no file reads them any more"


def test_secrets_have_no_default_on_the_settings_page() -> None:
    for line in settings.settings_page().splitlines():
        if "PASSWORD" in line or "SECRET" in line or "TOKEN" in line:
            assert line.split("|")[3].strip() in {"", "required"}, line


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a_b and products(sku, name)", "a_b and products(sku, name)"),
        ("select=*,x(*) [1..7]", r"select=\*,x(\*) \[1..7\]"),
        ("a < b | c & d", r"a \< b \| c &amp; d"),
        ("two\n lines", "two lines"),
        (None, ""),
    ],
)
def test_plain_text_is_escaped_for_markdown(given: str | None, expected: str) -> None:
    assert markdown.text(given) == expected


def test_table_cell_keeps_its_column_whatever_it_contains() -> None:
    lines = markdown.table(["A"], [[markdown.code("a|b")], [markdown.text("c|d")], ["e\nf"]]).splitlines()
    assert lines == ["| A |", "| --- |", r"| `a\|b` |", r"| c\|d |", "| e f |"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("timestamp with time zone", "timestamptz"),
        ("character varying(64)", "varchar(64)"),
        ("integer[]", "int[]"),
        ("app.tier_enum", "tier_enum"),
        ("numeric(15,2)", "numeric(15,2)"),
    ],
)
def test_types_have_short_names(name: str, expected: str) -> None:
    assert catalogue.short_type(name) == expected


def test_arguments_are_split_with_their_defaults() -> None:
    moment = "timestamp with time zone"
    listed = f"p_a uuid, p_b integer DEFAULT 10, p_c {moment} DEFAULT NULL::{moment}"
    assert list(catalogue.arguments(listed)) == [
        ("p_a", "uuid", ""),
        ("p_b", "int", "10"),
        ("p_c", "timestamptz", "null"),
    ]
    assert list(catalogue.arguments("")) == []


def test_snapshot_omits_lines_that_differ_between_dumps() -> None:
    dump = (
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict x1\n\n-- Dumped by pg_dump version 15.18\n\n"
        "SET lock_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\n\n\n"
        "CREATE TABLE app.a ();  \n\n\n\nCREATE TABLE app.b ();\n\n\\unrestrict x1\n"
    )
    body = snapshot.normalised(dump).split("\n\n", 1)[1]
    assert body == "CREATE TABLE app.a ();\n\nCREATE TABLE app.b ();\n"


def nav_pages(entries: list[object]) -> Iterator[str]:
    """The pages of mkdocs.yml's nav."""
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(value, list):
            yield from nav_pages(value)
        else:
            yield str(value)


def test_every_page_is_in_the_navigation_once() -> None:
    # mkdocs.yml names a Python function with a tag that only mkdocs resolves.
    text = (paths.root() / "mkdocs.yml").read_text().replace("!!python/name:", "")
    listed = list(nav_pages(yaml.safe_load(text)["nav"]))
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_site_builds_strictly(tmp_path: Path) -> None:
    done = subprocess.run(
        mkdocs("build", "--strict", "--quiet", "--site-dir", str(tmp_path)),
        cwd=paths.root(),
        capture_output=True,
        text=True,
        check=False,
        env=mkdocs_environment(),
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (tmp_path / "reference" / "rpcs" / "index.html").exists()
