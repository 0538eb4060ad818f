"""The domain of each object of the database, by the file of sql/ that creates it."""

import re
from functools import cache

from hub import paths

_CREATED = re.compile(
    r"^create (?:unlogged )?(?:table|view|materialized view|function|procedure) (\w+\.\w+)", re.MULTILINE
)


@cache
def object_domains() -> dict[str, str]:
    """The domain of each table, view and function, as `schema.name`."""
    found: dict[str, str] = {}
    for path in sorted(paths.sql_root().rglob("*.sql")):
        for name in _CREATED.findall(path.read_text()):
            found.setdefault(name, _domain_of_file(path.stem))
    return found


def domain_of(name: str) -> str:
    """The domain of `schema.object`, or "" for an object that no file or a shared file creates."""
    return object_domains().get(name.split("(", 1)[0], "")


@cache
def _domains() -> set[str]:
    root = paths.sql_root()
    names = {
        _without_number(file.stem) for folder in ("schema", "api") for file in root.glob(f"{folder}/*.sql")
    }
    # A file may hold a part of a domain: `partners_removal` is one of partners.
    return {name for name in names if not any(name.startswith(f"{other}_") for other in names)}


def _domain_of_file(stem: str) -> str:
    """The domain of a file: `31_loyalty` and `loyalty` are loyalty, `orders_submission` is orders.

    Files that all domains share have none, except those of the jobs.
    """
    name = _without_number(stem).removeprefix("_shared").removeprefix("_")
    while name and name not in _domains():
        name = name.rpartition("_")[0]
    return "" if name == "foundation" else name


def _without_number(stem: str) -> str:
    return re.sub(r"^\d+_", "", stem)
