"""Calling a function: which one a name and arguments mean, and the SQL of the call."""

# ruff: noqa: S608 - identifiers are quoted by psycopg, and values are bound

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from standin.errors import ApiError
from standin.plan import Node
from standin.schema_cache import Argument, Function, SchemaCache
from standin.sql import Values, array_literal, ident

_UNNAMED = {"json": ("json", "jsonb"), "text": ("text",), "bytes": ("bytea",)}
_UNNAMED_SHOWN = {"json": "json/jsonb", "text": "text", "bytes": "bytea"}


@dataclass(frozen=True)
class Arguments:
    """The arguments of a request: from the query string, or a body of some kind."""

    names: Collection[str]
    pairs: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    body_kind: str | None = None


def resolve(cache: SchemaCache, schema: str, name: str, arguments: Arguments) -> tuple[Function, bool]:
    """The function, and whether the body is its one unnamed argument. Raises ApiError (404, 300)."""
    several = cache.functions.get(name, ())
    raw = arguments.body_kind in ("text", "bytes")
    # A body that is not JSON names no argument: it calls a function whose arguments all have defaults.
    found = [f for f in several if f.accepts(arguments.names) and (f.arguments or not raw)]
    if len(found) == 1:
        return found[0], False
    if found:
        signatures = ", ".join(_signature(schema, f) for f in found)
        raise ApiError(
            300,
            "PGRST203",
            f"Could not choose the best candidate function between: {signatures}",
            hint="Try renaming the parameters or the function itself in the database"
            " so function overloading can be resolved",
        )
    if arguments.body_kind:
        for function in several:
            first = function.arguments[:1]
            if (
                len(function.arguments) == 1
                and not first[0].name
                and first[0].type in _UNNAMED[arguments.body_kind]
            ):
                return function, True
    raise _not_found(cache, schema, name, arguments)


def _signature(schema: str, function: Function) -> str:
    return f"{schema}.{function.name}({', '.join(f'{a.name} => {a.type}' for a in function.arguments)})"


def _not_found(cache: SchemaCache, schema: str, name: str, arguments: Arguments) -> ApiError:
    names = sorted(arguments.names)
    listed = ", ".join(names)
    given = f"({listed})" if names else " without parameters"
    searched = f" with parameter{'s' if len(names) > 1 else ''} {listed}" if names else " without parameters"
    kind = arguments.body_kind
    unnamed = f" with a single unnamed {_UNNAMED_SHOWN[kind]} parameter" if kind else ""
    if kind in ("text", "bytes"):
        searched = unnamed
    elif kind:
        searched += " or" + unnamed
    return ApiError(
        404,
        "PGRST202",
        f"Could not find the function {schema}.{name}{given} in the schema cache",
        f"Searched for the function {schema}.{name}{searched},"
        " but no matches were found in the schema cache.",
        _hint(cache, schema, name, names),
    )


def _hint(cache: SchemaCache, schema: str, name: str, names: list[str]) -> str | None:
    if name in cache.functions:
        for function in cache.functions[name]:
            known = [a.name for a in function.arguments]
            if any(get_close_matches(n, known, 1, 0.6) for n in names):
                return f"Perhaps you meant to call the function {schema}.{name}({', '.join(known)})"
        return None
    close = get_close_matches(name, cache.functions, 1, 0.6)
    return f"Perhaps you meant to call the function {schema}.{close[0]}" if close else None


def target(function: Function, cache: SchemaCache) -> Node:
    """The root of what is read from the function's result."""
    known = cache.relations[function.relation].columns if function.relation else {}
    source = f"pgrst_source as {ident(function.name)}"
    return Node(function.relation or function.name, function.name, source, known, is_call=True)


def source(
    values: Values, schema: str, function: Function, arguments: Arguments, *, unnamed: bool, node: Node
) -> str:
    """The common table expression with the function's result."""
    payload = ""
    if unnamed:
        body = arguments.body or b""
        value = values.add(body if arguments.body_kind == "bytes" else body.decode())
        given = f"{value}::{function.arguments[0].type}"
    elif arguments.pairs:
        given = ", ".join(_direct(values, function, arguments.pairs))
    else:
        used = [a for a in function.arguments if a.name in arguments.names]
        given = ", ".join(_named(a, f"pgrst_args.{ident(a.name)}") for a in used)
        if used:
            payload = f"{record(values, arguments.body or b'', used)} as pgrst_args, lateral "
    call = f"{ident(schema, function.name)}({given})"
    if not function.composite:
        rows = f"{payload}(select {call} as pgrst_scalar) as pgrst_call"
        return f"pgrst_source as (select pgrst_call.pgrst_scalar from {rows})"
    columns = _columns(node)
    return f"pgrst_source as (select {columns} from {payload}{call} as pgrst_call)"


def _columns(node: Node) -> str:
    """Only what the request names, so that a wrong name is reported before anything else."""
    used = node.used_columns()
    if "*" in used or not (node.columns or node.children):
        return "pgrst_call.*"
    return ", ".join(f"pgrst_call.{ident(name)}" for name in sorted(used)) or "1"


def _named(argument: Argument, value: str) -> str:
    return f"{'variadic ' if argument.variadic else ''}{ident(argument.name)} := {value}"


def _direct(values: Values, function: Function, pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    for argument in function.arguments:
        if argument.name in given:
            several = given[argument.name]
            text = array_literal(several) if argument.variadic else several[-1]
            yield _named(argument, f"{values.add(text)}::{argument.type}")


def record(values: Values, body: bytes, arguments: Iterable[Argument]) -> str:
    """A one-row subquery with the arguments that a JSON body names; of an array, its first element counts."""
    columns = ", ".join(f"{ident(a.name)} {a.type}" for a in arguments)
    data = f"{values.add(body.decode())}::json"
    rows = "case json_typeof(_p.data) when 'array' then _p.data else json_build_array(_p.data) end"
    record_set = f"lateral json_to_recordset({rows}) as _r({columns})"
    return f"(select _r.* from (select {data} as data) as _p, {record_set} limit 1)"


def read_only(function: Function, method: str) -> bool:
    """Whether the transaction must not write: for GET always, else for a function that says it does not."""
    return method in ("GET", "HEAD") or not function.volatile
