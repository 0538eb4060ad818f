"""What each kind of request does: reading a relation, calling a function, writing, and OPTIONS."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import parse_qsl, quote

from hub.standin import call, plan, query, request, statement, write
from hub.standin.auth import Caller
from hub.standin.config import Config
from hub.standin.database import Database, Row, Work
from hub.standin.errors import ApiError, Headers, bad_request
from hub.standin.plan import Node
from hub.standin.query import Query, Window
from hub.standin.request import Preferences, Request
from hub.standin.response import Response, content_range, extra_headers, range_status
from hub.standin.schema_cache import Function, Relation, SchemaCache
from hub.standin.sql import Reader, Values, ident
from hub.standin.statement import MediaType, Shape, Statement

_READ = ("GET", "HEAD")


@dataclass(frozen=True)
class Context:
    """All that a handler needs to know about one request."""

    config: Config
    cache: SchemaCache
    database: Database
    request: Request
    caller: Caller
    preferences: Preferences
    profile: Headers = field(default_factory=list)

    @property
    def head(self) -> bool:
        """Whether only the headers are wanted."""
        return self.request.method == "HEAD"

    async def run(self, work: Work) -> Row:
        """Run the transaction with the caller's role and the settings that go with it."""
        own = self.cache.role_settings.get(self.caller.role, {})
        if own:
            work = Work(work.statement, work.read_only, work.check, {**own, **work.settings}, work.estimate)
        return await self.database.run(
            work, self.caller, self.request, self.preferences.values.get("timezone")
        )


def relation_named(context: Context, name: str) -> Relation:
    """The exposed relation. Raises ApiError (404)."""
    relation = context.cache.relations.get(name)
    if relation is None:
        schema = context.config.db_schema
        close = get_close_matches(name.lower(), context.cache.relations, 1, 0.75)
        raise ApiError(
            404,
            "PGRST205",
            f"Could not find the table '{schema}.{name}' in the schema cache",
            hint=f"Perhaps you meant the table '{schema}.{close[0]}'" if close else None,
        )
    return relation


def _table_node(context: Context, relation: Relation) -> Node:
    source = f"{ident(context.config.db_schema, relation.name)} as {ident(relation.name)}"
    return Node(relation.name, relation.name, source, relation.columns)


def _counts(context: Context) -> tuple[str | None, bool]:
    """What Prefer: count asks for, and whether every row has to be counted for it."""
    count = context.preferences.values.get("count")
    return count, count == "exact"


# -- reading


async def read(context: Context, name: str) -> Response:
    """GET or HEAD of a table or view."""
    relation = relation_named(context, name)
    media = request.negotiate(context.request.headers.get("accept"))
    pairs = context.request.pairs()
    asked = query.parse(pairs, takes_arguments=False)
    _limit(context, asked)
    node = plan.root(context.cache, asked, _table_node(context, relation))
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
    count, exact = _counts(context)
    page = reader.page(node)
    made = statement.compose(values, sources, page, shape, reader.everything(node) if exact else None)
    estimate = _estimate(context, node, sources, given) if count and not exact else None

    def check(row: Row) -> None:
        if media.shape == "object" and not single:
            _check_single(row)
        if function is not None:
            _check_affected(context, row)

    read_only = function is None or call.read_only(function, context.request.method)
    row = await context.run(Work(made, read_only, check, function.settings if function else {}, estimate))
    total = _number(row[0])
    shown = _number(row[1]) or 0
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
        headers[-1] = (b"Content-Type", b"application/json; charset=utf-8")
        return Response(416, headers, error.body())
    return Response(status, headers, row[2] or b"").shaped_by(row)


def _heeded(function: Function | None) -> tuple[str, ...]:
    return (
        ("count", "handling", "timezone", "max-affected") if function else ("count", "handling", "timezone")
    )


def _estimate(context: Context, node: Node, sources: list[str], given: list[str | bytes | None]) -> Statement:
    """What the planner thinks. The SQL is written anew, since PostgreSQL wants every bound value to be used."""
    own = Values()
    own.list = given
    ctes = f"with {', '.join(sources)} " if sources else ""
    rows = Reader(own, context.config.db_schema).everything(node)
    return Statement(f"explain (format json) {ctes}{rows}", own.list)


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)


def _check_single(row: Row) -> None:
    rows = _number(row[1])
    if rows != 1:
        details = f"The result contains {rows} rows"
        raise ApiError(406, "PGRST116", "Cannot coerce the result to a single JSON object", details)


def _check_affected(context: Context, row: Row) -> None:
    most = context.preferences.max_affected
    rows = _number(row[1]) or 0
    if most is not None and rows > most and context.request.method not in _READ:
        details = f"The query affects {rows} rows"
        raise ApiError(400, "PGRST124", "Query result exceeds max-affected preference constraint", details)


# -- functions


async def invoke(context: Context, name: str) -> Response:
    """A function by GET, HEAD or POST."""
    method = context.request.method
    if method not in (*_READ, "POST"):
        raise ApiError(405, "PGRST101", f"Cannot use the {method} method on RPC")
    media = request.negotiate(context.request.headers.get("accept"))
    asked = query.parse(context.request.pairs(), takes_arguments=method in _READ)
    arguments = _arguments(context.request, asked)
    function, unnamed = call.resolve(context.cache, context.config.db_schema, name, arguments)
    _limit(context, asked)
    node = plan.root(context.cache, asked, call.target(function, context.cache))
    if not function.composite:
        node.columns = node.columns or [statement.SCALAR]
    values = Values()
    source = call.source(values, context.config.db_schema, function, arguments, unnamed=unnamed, node=node)
    return await _rows(context, node, [source], values, media, function)


def _arguments(asked: Request, parsed: Query) -> call.Arguments:
    if asked.method in _READ:
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
    raise bad_request(f"Content-Type not acceptable: {kind}")


# -- writing

_APPLIED: Mapping[str, tuple[str, ...]] = {
    "POST": ("resolution", "missing", "return", "count", "handling", "timezone", "max-affected"),
    "PATCH": ("missing", "return", "count", "handling", "timezone", "max-affected"),
    "PUT": ("return", "count", "handling", "timezone"),
    "DELETE": ("return", "count", "handling", "timezone", "max-affected"),
}


async def change(context: Context, name: str) -> Response:
    """POST, PATCH, PUT or DELETE on a table or view."""
    relation = relation_named(context, name)
    asked = query.parse(context.request.pairs(), takes_arguments=False)
    wanted = context.preferences.values.get("return", "minimal")
    media = request.negotiate(context.request.headers.get("accept"))
    node = plan.root(context.cache, asked, _table_node(context, relation))
    values = Values()
    returning: list[str] | None = []
    if wanted == "headers-only":
        returning = list(relation.primary_key)
    elif wanted == "representation":
        used = node.used_columns() - {"*"} if node.columns or node.children else None
        returning = None if used is None or any(c.column.name == "*" for c in node.columns) else sorted(used)
    sql = _change_sql(context, relation, asked, node, values, returning)
    shown = Node(relation.name, relation.name, f"pgrst_source as {ident(relation.name)}", relation.columns)
    if wanted == "representation":
        shown.columns, shown.children, shown.order = node.columns, node.children, node.order
        page = Reader(values, context.config.db_schema).page(shown)
    else:
        page = "select * from pgrst_source"
    shape = Shape(media if wanted == "representation" else request.negotiate(None), empty=wanted == "minimal")

    def check(row: Row) -> None:
        if wanted == "representation" and media.shape == "object":
            _check_single(row)
        if context.request.method == "PUT" and _number(row[1]) != 1:
            raise ApiError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
        _check_affected(context, row)

    made = statement.compose(values, [f"pgrst_source as ({sql})"], page, shape)
    row = await context.run(Work(made, read_only=False, check=check))
    return _changed(context, row, wanted, media, name)


def _change_sql(
    context: Context,
    relation: Relation,
    asked: Query,
    node: Node,
    values: Values,
    returning: list[str] | None,
) -> str:
    writer = write.Writer(values, context.config.db_schema, relation)
    reader = Reader(values, context.config.db_schema)
    back = writer.returning(returning)
    method = context.request.method
    if method == "DELETE":
        return writer.delete(reader, node, back)
    if method == "PUT" and asked.windows:
        raise ApiError(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")
    payload = write.Payload(*request.json_rows(context.request, asked.columns))
    write.check_columns(relation, payload.columns or [])
    if method == "PATCH":
        return writer.update(payload, reader, node, back)
    if method == "PUT":
        return writer.put(payload, write.put_conditions(relation, asked), back)
    wishes = context.preferences.values
    return writer.insert(
        payload,
        back,
        resolution=wishes.get("resolution"),
        conflict=asked.on_conflict,
        defaults=wishes.get("missing") == "default",
    )


def _changed(context: Context, row: Row, wanted: str, media: MediaType, name: str) -> Response:
    method = context.request.method
    rows = _number(row[1]) or 0
    total = rows if context.preferences.values.get("count") == "exact" else None
    headers = context.profile + extra_headers(context.preferences.applied(_APPLIED[method]))
    if method == "PATCH":
        headers.append((b"Content-Range", content_range(0, rows, total)))
    elif method != "PUT":
        headers.append((b"Content-Range", content_range(1, 0, total)))
    status = 201 if method == "POST" else 200 if wanted == "representation" else 204
    if (
        context.preferences.values.get("resolution") == "merge-duplicates"
        and method == "POST"
        and not _number(row[5])
    ):
        status = 200
    body = b""
    if wanted == "representation":
        headers.append((b"Content-Type", media.header.encode()))
        body = row[2] or b""
    elif wanted == "headers-only" and method == "POST":
        keys = json.loads(row[2] or b"[]")
        if len(keys) == 1 and keys[0]:
            headers.append((b"Location", _location(name, keys[0]).encode()))
    return Response(status, headers, body).shaped_by(row)


def _location(name: str, key: Mapping[str, object]) -> str:
    parts = (f"{quote(column)}=eq.{quote(str(value), safe='')}" for column, value in key.items())
    return f"/{quote(name)}?{'&'.join(parts)}"


# -- OPTIONS


def options(context: Context, name: str | None, function: str | None) -> Response:
    """What may be done with a path."""
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
