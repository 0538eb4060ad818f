"""docs/reference/erd.md: diagrams of the tables, an overview and one for each domain."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from devtools.docs.catalogue import Connection, Relation, relations
from devtools.docs.markdown import code, page, table, text
from devtools.domains import domain_of

_KEYS = """
select a.attname, k.contype
from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid and a.attnum = any (k.conkey)
where k.conrelid = %s::regclass
  and (k.contype in ('p', 'f') or (k.contype = 'u' and cardinality(k.conkey) = 1))
order by 1, 2"""

_REFERENCES = """
select k.conrelid::regclass::text, k.confrelid::regclass::text,
  array(select a.attname::text from unnest(k.conkey) with ordinality as c (number, place)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.number order by c.place),
  not exists (select from unnest(k.conkey) as c (number)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.number where not a.attnotnull),
  exists (select from pg_index x where x.indrelid = k.conrelid and x.indisunique and x.indpred is null
    and string_to_array(x.indkey::text, ' ')::smallint[] <@ k.conkey)
from pg_constraint k join pg_class c on c.oid = k.conrelid
where k.contype = 'f' and c.relnamespace = 'app'::regnamespace and not c.relispartition
order by 1, 2, 3"""


@dataclass(frozen=True)
class Reference:
    """A foreign key."""

    child: str
    parent: str
    columns: list[str]
    required: bool
    unique: bool

    def line(self) -> str:
        """The relationship in a diagram."""
        parent, child = "||" if self.required else "|o", "o|" if self.unique else "o{"
        return f'  {self.parent} {parent}--{child} {self.child} : "{", ".join(self.columns)}"'


def erd_page(conn: Connection) -> str:
    """Diagrams of the tables: an overview, then each domain with its columns."""
    tables = relations(conn, "app")
    references = [
        Reference(child.removeprefix("app."), parent.removeprefix("app."), columns, required, unique)
        for child, parent, columns, required, unique in conn.execute(_REFERENCES).fetchall()
    ]
    by_domain: dict[str, list[Relation]] = {}
    for relation in tables:
        by_domain.setdefault(domain_of(f"app.{relation.name}"), []).append(relation)
    overview = _diagram([f'  {r.parent} ||--o{{ {r.child} : ""' for r in _distinct(references)])
    return page(
        "Entity relationship diagram",
        "The tables of schema `app` with their keys, from the catalogue of a migrated database."
        " Constraints, defaults and indexes are in [schema.sql](../schema.sql).",
        "## Overview",
        "Each line is a foreign key. The diagrams of the domains show its columns, and whether it is"
        " required.",
        overview,
        *(_domain(conn, domain, by_domain[domain], references) for domain in sorted(by_domain)),
    )


def _distinct(references: Sequence[Reference]) -> list[Reference]:
    """One reference between each two tables."""
    return list({(r.child, r.parent): r for r in references}.values())


def _domain(
    conn: Connection, domain: str, tables: Sequence[Relation], references: Sequence[Reference]
) -> str:
    names = {relation.name for relation in tables}
    lines: list[str] = []
    for relation in tables:
        keys: dict[str, list[str]] = {}
        for column, kind in conn.execute(_KEYS, [f"app.{relation.name}"]).fetchall():
            keys.setdefault(column, []).append({"p": "PK", "f": "FK", "u": "UK"}[kind])
        lines.append(f"  {relation.name} {{")
        for column in relation.columns:
            key = ", ".join(k for k in ("PK", "FK", "UK") if k in keys.get(column.name, []))
            lines.append(f"    {_diagram_type(column.type)} {column.name} {key}".rstrip())
        lines.append("  }")
    lines += [r.line() for r in references if r.child in names]
    listed = table(["Table", "Content"], [(code(r.name), text(r.comment)) for r in tables])
    return f"## {domain.replace('_', ' ').capitalize()}\n\n{listed}\n\n{_diagram(lines)}"


def _diagram(lines: Sequence[str]) -> str:
    return "\n".join(["```mermaid", "erDiagram", *lines, "```"])


def _diagram_type(name: str) -> str:
    """A type as Mermaid accepts it: without blanks, commas and quotes."""
    return re.sub(r"\(.*?\)", "", name).replace(" ", "_").replace('"', "")
