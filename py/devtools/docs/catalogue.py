"""The relations, calls and privileges of schemas api and app, from the catalogue of a migrated database."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

ROLES = ["anon", "partner", "agent", "admin", "superadmin", "subdist", "erp", "messenger", "monitor"]

_TYPES = {
    "bool": "boolean",
    "bpchar": "char",
    "float8": "double precision",
    "int2": "smallint",
    "int4": "int",
    "int8": "bigint",
    "timestamp with time zone": "timestamptz",
    "integer": "int",
    "character varying": "varchar",
}


@dataclass(frozen=True)
class Column:
    """A column of a relation."""

    name: str
    type: str
    comment: str = ""


@dataclass(frozen=True)
class Relation:
    """A table or view with the privileges of each role."""

    schema: str
    name: str
    comment: str
    columns: list[Column]
    privileges: dict[str, str]
    """Letters by role: R, C, U and D for select, insert, update and delete; lower case for some columns."""
    hidden: dict[str, list[str]]
    """Columns that a role cannot read, for roles that read some of the others."""


@dataclass(frozen=True)
class Call:
    """A function of schema api."""

    name: str
    arguments: list[tuple[str, str, str]]
    """Name, type and default of each."""
    result: str
    comment: str
    roles: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The first line of the comment."""
        return self.comment.split("\n", 1)[0]

    @property
    def details(self) -> str:
        """The comment without its first line and without its errors."""
        lines = self.comment.split("\n")[1:]
        return " ".join(lines).partition("Errors: ")[0].strip()

    @property
    def errors(self) -> str:
        """The errors that the comment lists."""
        return " ".join(self.comment.split("\n")[1:]).partition("Errors: ")[2].strip().rstrip(".")


_RELATIONS = """
select c.oid, n.nspname, c.relname, coalesce(obj_description(c.oid, 'pg_class'), '')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
order by c.relname"""

_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), coalesce(col_description(a.attrelid, a.attnum), '')
from pg_attribute a where a.attrelid = %s and a.attnum > 0 and not a.attisdropped order by a.attnum"""

_PRIVILEGES = """
select r.role, p.letter, has_table_privilege(r.role, %(relation)s, p.name),
  p.name <> 'delete' and has_any_column_privilege(r.role, %(relation)s,
    case p.name when 'delete' then 'select' else p.name end)
from unnest(%(roles)s::text[]) with ordinality as r (role, place),
  (values (1, 'R', 'select'), (2, 'C', 'insert'), (3, 'U', 'update'), (4, 'D', 'delete'))
    as p (n, letter, name)
order by r.place, p.n"""

_HIDDEN = """
select r.role, array(
  select a.attname::text from pg_attribute a
  where a.attrelid = %(relation)s and a.attnum > 0 and not a.attisdropped
    and not has_column_privilege(r.role, %(relation)s, a.attnum, 'select')
  order by a.attnum)
from unnest(%(roles)s::text[]) as r (role)
where has_any_column_privilege(r.role, %(relation)s, 'select')"""

_CALLS = """
select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
  coalesce(obj_description(p.oid, 'pg_proc'), ''),
  array(select r.role from unnest(%s::text[]) with ordinality as r (role, place)
    where has_function_privilege(r.role, p.oid, 'execute') order by r.place)
from pg_proc p
where p.pronamespace = 'api'::regnamespace and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
  -- an unnamed argument: a relation to embed, and no call
  and (p.pronargs = 0 or p.proargnames is not null)
order by p.proname, pg_get_function_identity_arguments(p.oid)"""


def relations(conn: Connection, schema: str) -> list[Relation]:
    """The tables and views of a schema."""
    found = []
    for oid, namespace, name, comment in conn.execute(_RELATIONS, [schema]).fetchall():
        columns = [
            Column(column, short_type(type_), remark)
            for column, type_, remark in conn.execute(_COLUMNS, [oid]).fetchall()
        ]
        given = {"relation": oid, "roles": ROLES}
        privileges: dict[str, str] = dict.fromkeys(ROLES, "")
        for role, letter, whole, part in conn.execute(_PRIVILEGES, given).fetchall():
            privileges[role] += letter if whole else letter.lower() if part else ""
        hidden = {role: names for role, names in conn.execute(_HIDDEN, given).fetchall() if names}
        found.append(Relation(namespace, name, comment, columns, privileges, hidden))
    return found


def calls(conn: Connection) -> list[Call]:
    """The functions of schema api."""
    return [
        Call(name, list(arguments(listed)), result, comment, roles)
        for name, listed, result, comment, roles in conn.execute(_CALLS, [ROLES]).fetchall()
    ]


def short_type(name: str) -> str:
    """A type's name as the project writes it: `timestamptz`, `int`, `varchar(64)`."""
    base, bracket, rest = name.removeprefix("app.").partition("[" if "[" in name else "(")
    return _TYPES.get(base.strip(), base) + bracket + rest


def arguments(listed: str) -> Iterator[tuple[str, str, str]]:
    """Name, type and default of each argument, from pg_get_function_arguments."""
    for argument in re.split(r", (?=\w+ )", listed) if listed else []:
        declared, _, default = argument.partition(" DEFAULT ")
        name, _, type_ = declared.partition(" ")
        value = re.sub(r"::[\w ]+$", "", default)
        yield name, short_type(type_), "null" if value == "NULL" else value
