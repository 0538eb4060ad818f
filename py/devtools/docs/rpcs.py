"""docs/reference/rpcs.md: every call and view of schema api, first by role, then each by itself."""

import re
from collections.abc import Sequence

from devtools.docs.catalogue import (
    ROLES,
    Call,
    Connection,
    Relation,
    arguments,
    calls,
    relations,
    short_type,
)
from devtools.docs.markdown import code, page, table, text

_CODE = re.compile(r"[A-Z]+(?:_[A-Z]+)+")


def rpcs_page(conn: Connection) -> str:
    """Every call and view of schema api: first by role, then each by itself."""
    functions, views = calls(conn), relations(conn, "api")
    by_role = [_of_role(role, functions, views) for role in ROLES]
    return page(
        "Calls and views",
        "Every call (`POST /rpc/<name>`) and view (`GET /<name>`) of the API, from the comments and"
        " privileges of schema `api`. [API for frontends](../api/index.md) shows requests and answers; `GET"
        " /` returns the same as OpenAPI.",
        "## By role",
        *by_role,
        "## Calls",
        *(_call(call) for call in functions),
        "## Views",
        *(_view(view) for view in views),
    )


def _of_role(role: str, functions: Sequence[Call], views: Sequence[Relation]) -> str:
    calls_ = [f"[`{call.name}`](#call-{call.name})" for call in functions if role in call.roles]
    reads = [f"[`{view.name}`](#view-{view.name})" for view in views if view.privileges[role]]
    return "\n\n".join(
        [
            f"### {role} {{#role-{role}}}",
            f"Calls: {', '.join(calls_) or 'none'}",
            f"Views: {', '.join(reads) or 'none'}",
        ]
    )


def _call(call: Call) -> str:
    parts = [f"### {call.name} {{#call-{call.name}}}", text(call.summary) + "."]
    if call.details:
        parts.append(text(call.details))
    if call.arguments:
        rows = [(code(name), code(type_), code(default)) for name, type_, default in call.arguments]
        parts.append(table(["Argument", "Type", "Default"], rows))
    parts.append(f"Returns: {_result(call.result)}")
    parts.append(f"Roles: {', '.join(code(role) for role in call.roles)}")
    if call.errors:
        codes = _CODE.sub(lambda match: code(match.group()), text(call.errors))
        parts.append(f"Errors: {codes}")
    return "\n\n".join(parts)


def _result(result: str) -> str:
    if result.startswith("TABLE("):
        columns = ", ".join(
            f"{code(name)} {short_type(type_)}" for name, type_, _ in arguments(result[len("TABLE(") : -1])
        )
        return f"rows of {columns}"
    set_of = result.startswith("SETOF ")
    name = result.removeprefix("SETOF ")
    if name.startswith("api."):
        view = name.removeprefix("api.")
        return f"{'rows' if set_of else 'a row'} of [`{view}`](#view-{view})"
    return "nothing" if name == "void" else code(name)


def _view(view: Relation) -> str:
    first, _, rest = view.comment.partition("\n")
    readers = ", ".join(code(role) for role in ROLES if view.privileges[role])
    columns = table(
        ["Column", "Type", "Description"],
        [(code(column.name), code(column.type), text(column.comment)) for column in view.columns],
    )
    parts = [f"### {view.name} {{#view-{view.name}}}", text(first) + ".", *([text(rest)] if rest else [])]
    return "\n\n".join([*parts, f"Roles: {readers}", columns])
