"""Writing through a relation: POST, PATCH, PUT and DELETE."""

import json
from collections.abc import Mapping
from urllib.parse import quote

from standin import plan, query, request, statement, write
from standin.context import Context, check_affected, check_single, number, relation_named, table_node
from standin.database import Row, Work
from standin.errors import ApiError
from standin.plan import Node
from standin.query import Query
from standin.response import Response, content_range, extra_headers
from standin.schema_cache import Relation
from standin.sql import Reader, Values, ident
from standin.statement import MediaType, Shape

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
    node = plan.root(context.cache, asked, table_node(context, relation))
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
            check_single(row)
        if context.request.method == "PUT" and number(row[1]) != 1:
            raise ApiError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
        check_affected(context, row)

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
    rows = number(row[1]) or 0
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
        and not number(row[5])
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
