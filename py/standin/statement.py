"""The one statement of a request: a page of rows, how many there are, and the body made of them."""

# ruff: noqa: S608 - identifiers are quoted by psycopg, and values are bound

from dataclasses import dataclass
from typing import Literal

from standin.grammar import SelectColumn
from standin.scanner import Column
from standin.sql import Values

SCALAR = SelectColumn(Column("pgrst_scalar"))
"""The one column of a function's result that is no row."""

RESPONSE_COLUMNS = (
    "nullif(current_setting('response.headers', true), ''),"
    " nullif(current_setting('response.status', true), '')"
)


@dataclass(frozen=True)
class MediaType:
    """What the body is. `shape` decides the SQL, `header` is the Content-Type."""

    shape: Literal["array", "object", "csv", "openapi", "raw"]
    stripped: bool
    header: str


RAW = MediaType("raw", False, "application/octet-stream")
"""What a function with result `*/*` answers, whatever the request accepts."""


@dataclass(frozen=True)
class Statement:
    """SQL with $n placeholders and the values for them."""

    text: str
    values: list[str | bytes | None]


@dataclass(frozen=True)
class Shape:
    """How rows become a body: `scalar` rows have one column, a `single` function gives one row."""

    media: MediaType
    scalar: bool = False
    single: bool = False
    empty: bool = False


def body(shape: Shape) -> str:
    """The SQL expression for the body."""
    if shape.empty:
        return "''"
    if shape.media.shape == "csv":
        return _CSV
    if shape.media.shape == "raw":
        return "convert_from(string_agg(_t.pgrst_scalar, ''), 'UTF8')"
    row = "_t.pgrst_scalar" if shape.scalar else "_t"
    document = f"json_agg({row})"
    if shape.single or shape.media.shape == "object":
        document, nothing = f"{document}->0", "'null'"
    else:
        nothing = "'[]'"
    document = f"coalesce({document}, {nothing})"
    return f"json_strip_nulls({document})" if shape.media.stripped else document


_CSV = (
    "(select coalesce(string_agg(k, ','), '') from"
    " (select json_object_keys(row_to_json(r)) as k from (select * from page limit 1) as r) as keys)"
    " || e'\\n' || coalesce(string_agg(substring(_t::text, 2, length(_t::text) - 2), e'\\n'), '')"
)


def compose(
    values: Values, sources: list[str], page: str, shape: Shape, count: str | None = None
) -> Statement:
    """Columns: total, rows, body, response headers, response status, rows inserted."""
    ctes = ", ".join([*sources, f"page as ({page})"])
    total = f"(select count(*) from ({count}) as _all)" if count else "null"
    text = (
        f"with {ctes} select {total}, count(*), {body(shape)}, {RESPONSE_COLUMNS},"
        f" nullif(current_setting('pgrst.inserted', true), '') from page as _t"
    )
    return Statement(text, values.list)
