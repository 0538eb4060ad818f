"""Reading a relation, calling a function, and OPTIONS."""

from urllib.parse import parse_qsl, quote

from standin import call, plan, query, request, statement
from standin.context import (
    READ,
    Context,
    check_affected,
    check_single,
    number,
    relation_named,
    table_node,
)
from standin.database import Row, Work
from standin.errors import JSON_TYPE, ApiError, bad_request, not_offered
from standin.plan import Node
from standin.query import Query, Window
from standin.request import Request
from standin.response import Response, content_range, extra_headers, range_status
from standin.schema_cache import Function
from standin.sql import Reader, Values
from standin.statement import MediaType, Shape, Statement


async def read(context: Context, name: str) -> Response:
    """GET or HEAD of a table or view."""
    relation = relation_named(context, name)
    media = request.negotiate(context.request.headers.get("accept"))
    pairs = context.request.pairs()
    asked = query.parse(pairs, takes_arguments=False)
    _limit(context, asked)
    node = plan.root(context.cache, asked, table_node(context, relation))
    canonical = query.canonical(pairs)
    location = f"/{quote(name)}" + (f"?{canonical}" if canonical else "")
    response = await _rows(context, node, [], Values(), media)
    response.headers.append((b"Content-Location", location.encode()))
    return response


def _limit(context: Context, asked: Query) -> None:
    asked.windows[()] = request.window(
        context.request, asked.windows.get((), Window()), context.config.db_max_rows
    )


async def _rows(
    context: Context,
    node: Node,
    sources: list[str],
    values: Values,
    media: MediaType,
    function: Function | None = None,
) -> Response:
    """Read a tree of relations and answer with it."""
    given = list(values.list)
    reader = Reader(values, context.config.db_schema)
    scalar = function is not None and not function.composite
    single = function is not None and not function.set
    shape = Shape(media, scalar, single, context.head)
    count = context.preferences.values.get("count")
    exact = count == "exact"
    page = reader.page(node)
    made = statement.compose(values, sources, page, shape, reader.everything(node) if exact else None)
    estimate = _estimate(context, node, sources, given) if count and not exact else None

    def check(row: Row) -> None:
        if media.shape == "object" and not single:
            check_single(row)
        if function is not None:
            check_affected(context, row)

    read_only = function is None or call.read_only(function, context.request.method)
    row = await context.run(Work(made, read_only, check, function.settings if function else {}, estimate))
    total = number(row[0])
    shown = number(row[1]) or 0
    offset = node.window.offset
    headers = context.profile + extra_headers(context.preferences.applied(_heeded(function)))
    headers.append((b"Content-Range", content_range(offset, shown, total)))
    if function is not None and function.void:
        return Response(204, headers, b"").shaped_by(row)
    headers.append((b"Content-Type", media.header.encode()))
    status = range_status(offset, shown, total)
    if status == 416:
        details = f"An offset of {offset} was requested, but there are only {total} rows."
        error = query.out_of_range(details)
        headers[-1] = (b"Content-Type", JSON_TYPE)
        return Response(416, headers, error.body())
    return Response(status, headers, row[2] or b"").shaped_by(row)


def _heeded(function: Function | None) -> tuple[str, ...]:
    return (
        ("count", "handling", "timezone", "max-affected") if function else ("count", "handling", "timezone")
    )


def _estimate(context: Context, node: Node, sources: list[str], given: list[str | bytes | None]) -> Statement:
    """The planner's estimate. Its SQL is separate: PostgreSQL requires that every bound value is used."""
    own = Values()
    own.list = given
    ctes = f"with {', '.join(sources)} " if sources else ""
    rows = Reader(own, context.config.db_schema).everything(node)
    return Statement(f"explain (format json) {ctes}{rows}", own.list)


async def invoke(context: Context, name: str) -> Response:
    """A function by GET, HEAD or POST."""
    method = context.request.method
    if method not in (*READ, "POST"):
        raise ApiError(405, "PGRST101", f"Cannot use the {method} method on RPC")
    asked = query.parse(context.request.pairs(), takes_arguments=method in READ)
    arguments = _arguments(context.request, asked)
    function, unnamed = call.resolve(context.cache, context.config.db_schema, name, arguments)
    media = statement.RAW if function.raw else request.negotiate(context.request.headers.get("accept"))
    _limit(context, asked)
    node = plan.root(context.cache, asked, call.target(function, context.cache))
    if not function.composite:
        node.columns = node.columns or [statement.SCALAR]
    values = Values()
    source = call.source(values, context.config.db_schema, function, arguments, unnamed=unnamed, node=node)
    return await _rows(context, node, [source], values, media, function)


def _arguments(asked: Request, parsed: Query) -> call.Arguments:
    if asked.method in READ:
        return call.Arguments({name for name, _ in parsed.arguments}, tuple(parsed.arguments))
    kind = request.content_type(asked)
    if kind == "application/json":
        request.utf8(asked.body)
        keys = request.json_keys(asked.body, parsed.columns) if asked.body else None
        return call.Arguments(keys or (), body=asked.body, body_kind="json")
    if kind == "application/x-www-form-urlencoded":
        pairs = tuple(parse_qsl(request.utf8(asked.body), keep_blank_values=True))
        return call.Arguments({name for name, _ in pairs}, pairs, body_kind="json")
    if kind == "text/plain":
        request.utf8(asked.body)
        return call.Arguments((), body=asked.body, body_kind="text")
    if kind == "application/octet-stream":
        return call.Arguments((), body=asked.body, body_kind="bytes")
    if kind == "text/xml":
        raise not_offered("functions that take XML")
    raise bad_request(f"Content-Type not acceptable: {kind}")


def options(context: Context, name: str | None, function: str | None) -> Response:
    """The methods that a path allows."""
    if function is not None:
        found, _ = call.resolve(context.cache, context.config.db_schema, function, call.Arguments(()))
        allowed = "OPTIONS,POST" if found.volatile else "OPTIONS,GET,HEAD,POST"
    elif name is None:
        allowed = "OPTIONS,GET,HEAD"
    else:
        relation = relation_named(context, name)
        methods = ["OPTIONS", "GET", "HEAD"]
        methods += ["POST"] if relation.insertable else []
        methods += ["PUT"] if relation.insertable and relation.updatable else []
        methods += ["PATCH"] if relation.updatable else []
        methods += ["DELETE"] if relation.deletable else []
        allowed = ",".join(methods)
    return Response(200, extra_headers([("Access-Control-Allow-Origin", "*"), ("Allow", allowed)]), b"")
