"""The packages of web/: their types follow the database, their units pass, and no registry is pinned."""

import json
import re
from typing import Any

import psycopg

from devtools import typescript
from hub import pages
from hub.pages import node as nodes
from hub.pages import workspace


def test_types_follow_the_database(shared_database: str) -> None:
    assert typescript.generate(shared_database) == typescript.database_file().read_text(), "run hub dev types"


def test_units_of_the_pages() -> None:
    node = nodes.require()
    with workspace.locked():
        workspace.install(node)
    node.run(["npm", "test"], pages.folder())


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
