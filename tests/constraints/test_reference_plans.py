"""A foreign key over two columns is checked by the index of both, however few rows a partner has."""

import pytest
from psycopg import sql

from tests.support.context import Connection
from tests.support.queries import nodes

pytestmark = pytest.mark.planner

REFERRED = ["app.credit_notes", "app.invoices", "app.orders"]

# One row a partner, as when the hub is new: an index of partners looks as good as the key.
ROWS = """
set local session_replication_role = replica;
create temp table fresh on commit drop as
select app.uuid_v7() as id, gen_random_uuid() as partner_id, n from generate_series(1, 1000) as n;
insert into app.orders (id, partner_id, order_number) select id, partner_id, 'N-' || n from fresh;
insert into app.invoices (id, order_id, partner_id, amount, due_date, invoice_number)
select id, id, partner_id, 1, now(), 'N-' || n from fresh;
insert into app.credit_notes (
  id, order_id, partner_id, amount, points_returned, reason, credit_note_number
)
select id, id, partner_id, 1, 0, 'x', 'N-' || n from fresh;
analyze app.orders, app.invoices, app.credit_notes;
set local session_replication_role = origin;
set local plan_cache_mode = force_generic_plan;
"""


def filters(conn: Connection, table: str) -> list[str]:
    """What the look-up of a foreign key compares beside the index, in PostgreSQL's own statement."""
    relation = sql.SQL(table)
    conn.execute(
        sql.SQL(
            "prepare check_reference (uuid, uuid) as select 1 from only {} as x"
            " where id = $1 and partner_id = $2 for key share of x"
        ).format(relation)
    )
    ((plan,),) = conn.execute("explain (format json) execute check_reference (null, null)").fetchall()
    conn.execute("deallocate check_reference")
    return [node["Filter"] for node in nodes(plan[0]["Plan"]) if "Filter" in node]


def test_every_table_that_is_referred_to_with_its_partner_is_listed(db: Connection) -> None:
    found = db.execute(
        "select distinct confrelid::regclass::text from pg_constraint"
        " where contype = 'f' and cardinality(confkey) > 1 and connamespace = 'app'::regnamespace order by 1"
    ).fetchall()
    assert [name for (name,) in found] == REFERRED


@pytest.mark.parametrize("table", REFERRED)
def test_a_reference_is_looked_up_by_its_whole_key(db: Connection, table: str) -> None:
    db.execute(ROWS)
    assert filters(db, table) == []


def test_without_the_statistics_a_partner_is_walked(db: Connection) -> None:
    db.execute("alter table app.orders alter column partner_id reset (n_distinct)")
    db.execute(ROWS)
    assert filters(db, "app.orders") == ["(id = $1)"]
