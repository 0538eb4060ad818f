"""Everything that is stored about a partner is exported to superadmins, and recorded."""

import json

import pytest

from tests.domain.partners.test_erasure import NUMBER, SECRET, partner_with_a_history
from tests.support.calls import refused
from tests.support.context import Caller, Connection, Context, call, value
from tests.support.factories import insert, make_agent
from tests.support.queries import audit_rows

pytestmark = pytest.mark.context(partners=1, products=3)


@pytest.fixture
def superadmin(db: Connection) -> Caller:
    return Caller("superadmin", make_agent(db, None, role="SUPERADMIN").sub)


def test_export_contains_every_row_of_the_partner_and_no_secret(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_with_a_history(db, context)
    other = insert(db, "partners", email="lain@hub.test", business_name="Salon Lain", password_hash="x")
    audit_rows(db)
    found = call(db, superadmin, "export_partner", partner_id=who.sub)
    text = json.dumps(found, default=str)
    tables = db.execute(
        "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid"
        " where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p') and attname = 'partner_id'"
    ).fetchall()
    for (table,) in tables:
        rows = value(db, f"select count(*) from app.{table} where partner_id = %s", who.sub)
        assert len(found[table]) == rows, table
    for table in ("orders", "order_items", "invoices", "invoice_payments", "point_transactions"):
        assert found[table], table
    assert found["partners"]["phone"] == NUMBER
    assert found["partners"]["address"] == SECRET
    assert {row["notes"] for row in found["orders"]} == {SECRET}
    for table in ("messages", "inbound_messages", "audit_logs", "agent_sessions"):
        assert found[table], table
    hashes = db.execute("select password_hash from app.partners union select password_hash from app.agents")
    assert not [h for (h,) in hashes if len(h) > 10 and h in text]
    assert "password_hash" not in found["partners"]
    assert other not in text
    assert "Salon Lain" not in text


def test_export_is_recorded_in_the_trail(db: Connection, context: Context, superadmin: Caller) -> None:
    who = context.partners[0]
    call(db, superadmin, "export_partner", partner_id=who.sub)
    (row,) = audit_rows(db, action="EXPORT")
    assert (row["target_id"], row["actor_id"], row["actor_role"]) == (who.sub, superadmin.sub, "superadmin")


def test_unknown_partner_is_not_exported(db: Connection, context: Context, superadmin: Caller) -> None:
    with refused(db, "NOT_FOUND"):
        call(db, superadmin, "export_partner", partner_id=context.admin.sub)


def test_only_superadmins_export(db: Connection, context: Context) -> None:
    who = context.partners[0]
    db.execute("grant execute on function api.export_partner(uuid) to partner, admin")
    for caller in (context.admin, who):
        with refused(db, "NOT_ALLOWED"):
            call(db, caller, "export_partner", partner_id=who.sub)
