"""docs/reference/roles.md: who can read, write and call what, and which columns and rows are hidden."""

from collections.abc import Sequence
from itertools import groupby

from devtools.docs.catalogue import ROLES, Call, Connection, Relation, calls, relations
from devtools.docs.markdown import code, page, table

_POLICIES = """
select c.relname, p.polname,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
    when 'd' then 'delete' else 'all' end,
  array(select r.role from unnest(%s::text[]) with ordinality as r (role, place)
    where exists (
      select from unnest(p.polroles) as o (id) where o.id = 0 or pg_has_role(r.role, o.id, 'usage'))
    order by r.place)
from pg_policy p join pg_class c on c.oid = p.polrelid
where c.relnamespace = 'app'::regnamespace order by 1, 2"""


def roles_page(conn: Connection) -> str:
    """Who can read, write and call what, and which columns and rows are hidden."""
    api, app = relations(conn, "api"), relations(conn, "app")
    return page(
        "Roles",
        "PostgREST switches to the database role that the token's claim `role` names. The tables below are"
        " the privileges of a migrated database. `superadmin` has all privileges of `admin`.",
        "R: read, C: create, U: update, D: delete. A lower-case letter means some columns only.",
        "## Views",
        "Views of schema `api` run with the caller's rights: row security and column privileges of the tables"
        " below apply.",
        _matrix(api),
        "## Calls",
        "Functions of schema `api`; [Calls and views](rpcs.md) describes each.",
        _call_matrix(calls(conn)),
        "## Tables",
        "Tables of schema `app`, which is not exposed. Tables without any privilege are left out.",
        _matrix([relation for relation in app if any(relation.privileges.values())]),
        "## Hidden columns",
        "Columns that a role cannot read although it reads others of the table.",
        _hidden(app),
        "## Row security",
        "Every table has row security. A role sees the rows that one of its policies admits; without a policy"
        " it sees none. The conditions are in `sql/policies/`, one file per domain.",
        _policies(conn),
    )


def _matrix(found: Sequence[Relation]) -> str:
    rows = [[code(r.name), *(r.privileges[role] for role in ROLES)] for r in found]
    return table(["", *(code(role) for role in ROLES)], rows)


def _call_matrix(found: Sequence[Call]) -> str:
    rows = [
        [f"[`{call.name}`](rpcs.md#call-{call.name})", *("✓" if role in call.roles else "" for role in ROLES)]
        for call in found
    ]
    return table(["", *(code(role) for role in ROLES)], rows)


def _hidden(found: Sequence[Relation]) -> str:
    rows = []
    for relation in found:
        for columns, roles in groupby(
            sorted(relation.hidden, key=lambda role: (relation.hidden[role], ROLES.index(role))),
            key=lambda role: relation.hidden[role],
        ):
            names = ", ".join(code(role) for role in roles)
            rows.append([code(relation.name), names, ", ".join(code(column) for column in columns)])
    return table(["Table", "Roles", "Columns that they cannot read"], rows)


def _policies(conn: Connection) -> str:
    rows = [
        [code(name), code(policy), command, ", ".join(code(role) for role in roles)]
        for name, policy, command, roles in conn.execute(_POLICIES, [ROLES]).fetchall()
    ]
    return table(["Table", "Policy", "Command", "Roles"], rows)
