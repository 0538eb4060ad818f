"""Small factories for the tests of the rules, and refusals with the HTTP status that they promise."""

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.support.client import caller
from tests.support.context import Caller, Connection, Context, RefusedError, new_id, value

_numbers = itertools.count(1)


def insert(db: Connection, table: str, **columns: Any) -> str:
    """Insert a row into `app.<table>` and return its id."""
    marks = ", ".join(["%s"] * len(columns))
    statement = f"insert into app.{table} ({', '.join(columns)}) values ({marks})"
    return new_id(db, statement, *columns.values())


def make_product(db: Connection, sku: str, base_price: int = 100_000, stock: int | None = 100) -> str:
    product = insert(db, "products", sku=sku, name=sku.title(), base_price=base_price)
    if stock is not None:
        insert(db, "inventory", product_id=product, erp_stock=stock)
    return product


def make_subdist(db: Connection, region: str, **columns: Any) -> Caller:
    number = f"+62819{next(_numbers):07}"
    row = {"region_id": region, "business_name": "CV Baru", "whatsapp_number": number} | columns
    return Caller("subdist", insert(db, "sub_distributors", **row))


def make_partner(db: Connection, region: str | None, **columns: Any) -> Caller:
    name = f"baru{next(_numbers)}@hub.test"
    row = {"email": name, "password_hash": "x", "business_name": "Salon Baru", "region_id": region} | columns
    return Caller("partner", insert(db, "partners", **row))


def make_agent(db: Connection, region: str | None, **columns: Any) -> Caller:
    name = f"baru{next(_numbers)}@hub.test"
    row = {"email": name, "password_hash": "x", "full_name": "Agen Baru", "region_id": region} | columns
    return Caller("agent", insert(db, "agents", **row))


def set_price(
    db: Connection,
    context: Context,
    price: int,
    since: str = "now()",
    until: str = "null",
    *,
    sku: str = "SKU-000",
    tier: str = "SILVER",
    discount: tuple[float, int] | None = None,
) -> str:
    """A row of the price list from `since` until just before `until`, both SQL."""
    units, cheaper = discount or (None, None)
    return new_id(
        db,
        "insert into app.tier_prices (product_id, tier, price, min_qty_discount, discount_price,"
        f" effective_from, effective_until) values (%s, %s, %s, %s, %s, {since}, {until})",
        context.products[sku],
        tier,
        price,
        units,
        cheaper,
    )


def of_partner(db: Connection, who: Caller, column: str) -> Any:
    return value(db, f"select {column} from app.partners where id = %s", who.sub)


def told(db: Connection, template: str, recipient: Caller | None = None) -> int:
    """How many messages of a kind are owed, to somebody or in all."""
    query = (
        "select count(*) from app.messages where template = %s and recipient_id = coalesce(%s, recipient_id)"
    )
    return int(value(db, query, template, recipient.sub if recipient else None))


@contextmanager
def refused(db: Connection, code: str) -> Iterator[RefusedError]:
    """Expect this refusal, whatever way it comes, with the HTTP status of app.error_catalog()."""
    status = value(db, "select http_status from app.error_catalog() where code = %s", code)
    told_why = RefusedError(code)
    with pytest.raises((RefusedError, psycopg.Error)) as caught, db.transaction():
        yield told_why
    error = caught.value
    if isinstance(error, psycopg.Error):
        assert error.sqlstate == "PGRST", error
        error = RefusedError.of(error)
    assert isinstance(error, RefusedError)
    assert (error.code, error.status) == (code, status), error
    told_why.details = error.details


@dataclass(frozen=True)
class Answer:
    """What a call answered, and the status and headers that it asked the gateway for."""

    body: Any
    status: int
    headers: Mapping[str, str]


def answer(
    db: Connection, who: Caller, function: str, headers: Mapping[str, str] | None = None, **arguments: Any
) -> Answer:
    """Call `api.<function>` as the gateway does; for what is answered, not raised, and for void."""
    named = sql.SQL(", ").join(sql.SQL("{} => %s").format(sql.Identifier(name)) for name in arguments)
    query = sql.SQL("select api.{}({})").format(sql.Identifier(function), named)
    values = [Jsonb(v) if isinstance(v, list | dict) else v for v in arguments.values()]
    with caller(db, who.role, who.sub, headers=headers, path=f"/rpc/{function}", **who.extra):
        db.execute(
            "select set_config(n, '', true) from unnest(array['response.status', 'response.headers']) n"
        )
        row = db.execute(query, values).fetchone()
        status = value(db, "select current_setting('response.status')") or "200"
        told_headers = json.loads(value(db, "select current_setting('response.headers')") or "[]")
    merged = {name: text for header in told_headers for name, text in header.items()}
    return Answer(row[0] if row else None, int(status), merged)
