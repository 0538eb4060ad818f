"""The packages of web/: their types follow the database, their units pass, and no registry is pinned."""

import json
import re
from typing import Any

import psycopg

from devtools import typescript
from hub import pages, paths
from hub.migrate.jobs import read_jobs
from hub.migrate.tree import Tree
from hub.pages import node as nodes
from hub.pages import workspace


def test_types_follow_the_database(shared_database: str) -> None:
    assert typescript.generate(shared_database) == typescript.database_file().read_text(), "run hub dev types"


def test_each_config_and_job_has_an_indonesian_description(shared_database: str) -> None:
    texts = (pages.folder() / "console" / "src" / "texts" / "descriptions.ts").read_text()
    described = set(re.findall(r'^  "?([\w.-]+)"?:', texts, re.M))
    with psycopg.connect(shared_database) as conn:
        configs = {key for (key,) in conn.execute("select config_key from app.config_definitions()")}
    jobs = {job.name for job in read_jobs(Tree(paths.sql_root(), paths.migrations_root()))}
    assert described == configs | jobs | {"erp", "standby"}


def _keys(texts: str, start: str) -> set[str]:
    """The keys of the object that begins with `start`, one to a line."""
    return set(re.findall(r"^ +(\w+):", texts.split(start, 1)[1].split("}", 1)[0], re.M))


def test_each_template_and_each_audited_table_has_words(shared_database: str) -> None:
    source = pages.folder() / "console" / "src"
    texts = (source / "texts" / "id.ts").read_text()
    offered = (source / "pages" / "system.tsx").read_text().split("const TABLES = [", 1)[1].split("]", 1)[0]
    with psycopg.connect(shared_database) as conn:
        templates = {name for (name,) in conn.execute("select template from app.message_templates()")}
        audited = {
            name
            for (name,) in conn.execute(
                "select c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid"
                " where t.tgname ~ '^_800_audit'"
            )
        }
    assert _keys(texts, "\n  template: {") == templates
    assert set(re.findall(r'"(\w+)"', offered)) == audited
    assert audited - _keys(texts, "const names = {") == set()


def test_units_of_the_pages() -> None:
    node = nodes.require()
    with workspace.locked():
        workspace.install(node)
    node.run(["npm", "test"], pages.folder())


def test_no_page_writes_markup() -> None:
    """What a text holds is shown as text: no source hands a string to the browser as HTML or as a script."""
    writes = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|\beval\(|new Function"
    )
    sources = [
        file
        for part in ("common", "console", "shop")
        for file in (pages.folder() / part / "src").rglob("*.ts*")
    ]
    assert sources
    assert [file for file in sources if writes.search(file.read_text())] == []


def test_each_refusal_has_words_for_users(shared_database: str) -> None:
    with psycopg.connect(shared_database) as conn:
        codes = {str(row[0]) for row in conn.execute("select code from app.error_catalog()")}
    texts = (pages.folder() / "common" / "src" / "texts" / "id.ts").read_text()
    assert codes - set(re.findall(r'"error\.(\w+)":', texts)) == set()


def test_lock_of_npm_names_no_registry() -> None:
    lock: dict[str, Any] = json.loads((pages.folder() / "package-lock.json").read_text())
    resolved = {name: entry["resolved"] for name, entry in lock["packages"].items() if "resolved" in entry}
    assert all(name.startswith("node_modules/@alfa-hub/") for name in resolved), resolved
    assert all(
        "integrity" in entry
        for name, entry in lock["packages"].items()
        if "/" in name and not entry.get("link")
    )
