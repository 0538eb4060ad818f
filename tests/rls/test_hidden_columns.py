"""What a role may not see is NULL for it, in lists and in what calls return; every list has an id."""

from typing import Any

import pytest
from psycopg import sql
from psycopg.rows import dict_row

from tests.rls import matrix
from tests.support.context import (
    Caller,
    Connection,
    Context,
    call,
    grant_points,
    invoice_of,
    items,
    make_context,
    routed_subdist,
    value,
)

READERS = ("partner", "agent", "subdist", "admin", "superadmin")


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def read(db: Connection, who: Caller, view: str) -> list[dict[str, Any]]:
    """The rows of a view of schema api, as PostgREST reads them for the caller."""
    with db.transaction(force_rollback=True), db.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select set_config('request.jwt.claims', %s, true)", [who.claims])
        cursor.execute("select set_config('role', %s, true)", [who.role])
        return cursor.execute(sql.SQL("select * from {}").format(sql.Identifier("api", view))).fetchall()


@pytest.fixture
def order(db: Connection, context: Context) -> str:
    """An order that points pay in part, which was released over the limit, answered and declined once."""
    who = context.partners[0]
    grant_points(db, context, who, 100)
    db.execute("update app.partners set credit_limit = 1")
    order = call(
        db, who, "submit_order", items=items(SKU_000=10), points=100, notes="pagi", idempotency_key="k"
    )
    call(db, context.admin, "release_order", order_id=order["id"], reason="pelanggan lama, selalu bayar")
    for decision in ("PROGRESS", "ACCEPT"):
        call(
            db,
            routed_subdist(db, order),
            "respond_order",
            order_id=order["id"],
            decision=decision,
            note="stok menipis",
        )
    return str(order["id"])


def readers(db: Connection, context: Context, order: str) -> dict[str, Caller]:
    return {
        "partner": context.partners[0],
        "agent": context.agents[0],
        "subdist": routed_subdist(db, {"id": order}),
        "admin": context.admin,
        "superadmin": Caller("superadmin", context.admin.sub),
    }


@pytest.mark.parametrize("role", READERS)
def test_columns_are_null_for_the_roles_of_the_matrix_and_no_other(
    db: Connection, context: Context, order: str, role: str
) -> None:
    [row] = read(db, readers(db, context, order)[role], "orders")
    hidden = set(matrix.HIDDEN.get(("orders", role), "").split())
    shown = set(matrix.HIDDEN["orders", "subdist"].split()) - hidden
    assert {name for name in hidden if row[name] is not None} == set()
    assert {name for name in shown if row[name] is None} == set()
    assert row["grand_total"] == 990_000
    assert row["notes"] == "pagi"


def test_call_returns_the_columns_that_the_caller_may_see(
    db: Connection, context: Context, order: str
) -> None:
    who = readers(db, context, order)
    answered = call(db, who["subdist"], "respond_order", order_id=order, decision="PROGRESS")
    assert {
        name for name in matrix.HIDDEN["orders", "subdist"].split() if answered[name] is not None
    } == set()
    cancelled = call(db, who["partner"], "cancel_order", order_id=order)
    assert (cancelled["release_reason"], cancelled["points_used"]) == (None, 100)


@pytest.mark.parametrize("role", READERS)
def test_internal_notes_are_hidden_from_partners_and_sub_distributors(
    db: Connection, context: Context, order: str, role: str
) -> None:
    who = readers(db, context, order)
    call(db, context.admin, "reject_order", order_id=order, reason="alamat tidak ditemukan")
    events = sorted(read(db, who[role], "order_events"), key=lambda row: row["id"])
    notes = [row["note"] for row in events if row["note"]]
    released = [row["event"] for row in events].count("RELEASED")
    assert released == (0 if role == "subdist" else 1), "a release reveals that the order was over the limit"
    internal = {"pelanggan lama, selalu bayar", "PROGRESS: stok menipis", "ACCEPT: stok menipis"}
    if role in ("partner", "subdist"):
        assert notes == ["PROGRESS", "ACCEPT", "alamat tidak ditemukan"]
        everything = str(read(db, who[role], "orders")) + str(notes)
        assert not any(text in everything for text in ("stok menipis", "selalu bayar"))
    else:
        assert internal < set(notes)


@pytest.mark.parametrize("role", ["partner", "agent", "admin"])
def test_remark_of_a_payment_is_hidden_from_partners(
    db: Connection, context: Context, order: str, role: str
) -> None:
    who = readers(db, context, order)
    call(db, context.admin, "approve_order", order_id=order)
    payment = {"invoice_id": invoice_of(db, {"id": order})["id"], "amount": 1000, "reference_number": "R1"}
    mistyped = call(db, context.admin, "record_payment", **payment, notes="bank bilang salah")
    call(db, context.admin, "reverse_payment", payment_id=mistyped["payment_id"], reason="salah ketik")
    notes = {row["kind"]: row["notes"] for row in read(db, who[role], "invoice_payments")}
    remark = None if role == "partner" else "bank bilang salah"
    assert notes == {"PAYMENT": remark, "REVERSAL": "salah ketik"}


def test_every_list_has_an_id(db: Connection) -> None:
    """Generic frontends address a row by it; `me` is no list, but has one, too."""
    without = db.execute(
        "select c.relname from pg_class as c where c.relnamespace = 'api'::regnamespace and c.relkind = 'v'"
        " and not exists (select from pg_attribute as a where a.attrelid = c.oid and a.attname = 'id')"
    ).fetchall()
    assert without == []


@pytest.mark.parametrize(
    "view", ["job_health", "system_configs", "system_config_history", "partner_statistics"]
)
def test_ids_of_derived_lists_are_unique(db: Connection, context: Context, order: str, view: str) -> None:
    assert order
    db.execute("select jobs.refresh_statistics()")
    ids = [row["id"] for row in read(db, Caller("superadmin", context.admin.sub), view)]
    assert ids
    assert len(set(ids)) == len(ids)
    assert value(db, "select count(*) from app.orders") == 1
