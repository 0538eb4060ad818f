"""Tests that test_mutation.py runs against mutants. They pass without a mutant."""

import psycopg
import pytest

from hub.cluster import Cluster
from tests.support.context import Connection, broken_invariants, items, make_context, new_id, submit, value


def test_phone_number_is_normalised(db: Connection) -> None:
    context = make_context(db, partners=1)
    db.execute("update app.partners set phone = '0812-345-678' where id = %s", [context.partners[0].sub])
    assert (
        value(db, "select phone from app.partners where id = %s", context.partners[0].sub) == "+62812345678"
    )


def test_region_is_not_its_own_ancestor(db: Connection) -> None:
    one = new_id(db, "insert into app.regions (name, code) values ('a', 'P-A')")
    two = new_id(db, "insert into app.regions (name, code, parent_region_id) values ('b', 'P-B', %s)", one)
    with pytest.raises(psycopg.DatabaseError, match="INVALID_REGION"), db.transaction():
        db.execute("update app.regions set parent_region_id = %s where id = %s", [two, one])


def test_quantities_are_positive(db: Connection) -> None:
    context = make_context(db, partners=1)
    submit(db, context.partners[0], items(SKU_000=2))
    assert broken_invariants(db) == {}
    db.execute("alter table app.order_items disable trigger user")
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        db.execute("update app.order_items set quantity = 0, line_total = 0")


def test_fails_once_on_demand(cluster: Cluster) -> None:
    marker = cluster.folder / "fail-once"
    if marker.exists():
        marker.unlink()
        pytest.fail("by chance")
