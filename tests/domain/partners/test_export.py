"""Everything that is stored about a partner is exported to superadmins, and recorded."""

import json
from typing import Any

import pytest

from tests.domain.audit.test_classification import not_erased, places
from tests.domain.partners.test_erasure import EARLIER, NUMBER, SECRET, partner_with_a_history
from tests.support.calls import refused
from tests.support.context import Caller, Connection, Context, call, value
from tests.support.factories import insert, make_agent
from tests.support.messaging import receive, text_message, webhook
from tests.support.queries import audit_rows

pytestmark = pytest.mark.context(partners=1, products=3)

NOT_EXPORTED = {
    # in audit_logs within a minute, masked
    "app.audit_buffer",
    # keys that programs chose; those of orders and redemptions are in their rows
    "app.idempotency_keys",
    # hashes, and counts by address that are purged within two days
    "auth.login_attempts", "auth.password_codes", "auth.refresh_tokens",
}  # fmt: skip
"""Tables with personal data that an export leaves out; each kind with its reason."""


def not_exported(conn: Connection, found: dict[str, Any]) -> list[str]:
    """The places of personal data that are missing from what was exported."""
    return sorted(table for table in set(places(conn)) - NOT_EXPORTED if table.split(".")[1] not in found)


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
    assert not_exported(db, found) == []
    for table in ("messages", "inbound_messages", "audit_logs", "agent_sessions", "sessions",
                  "conversations", "sla_escalation_logs", "erp_quarantine"):  # fmt: skip
        assert found[table], table
    hashes = db.execute("select password_hash from app.partners union select password_hash from app.agents")
    assert not [h for (h,) in hashes if len(h) > 10 and h in text]
    assert "password_hash" not in found["partners"]
    assert other not in text
    assert "Salon Lain" not in text


def test_new_place_of_personal_data_is_reported_until_it_is_erased_and_exported(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    db.execute("create table app.remarks (id uuid primary key, order_id uuid, remark text)")
    db.execute("comment on column app.remarks.remark is '[pii: text]'")
    found = call(db, superadmin, "export_partner", partner_id=context.partners[0].sub)
    assert (not_erased(db), not_exported(db, found)) == (["app.remarks"], ["app.remarks"])


def test_code_for_a_new_password_that_waits_to_be_sent_is_not_exported(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = context.partners[0]
    db.execute("select auth.request_password_reset(email) from app.partners where id = %s", [who.sub])
    code = value(db, "select variables ->> 'token' from app.messages where template = 'password_reset'")
    found = call(db, superadmin, "export_partner", partner_id=who.sub)
    assert [row["template"] for row in found["messages"]] == ["password_reset"]
    assert code
    assert code not in json.dumps(found, default=str)


def test_export_leaves_out_what_another_owner_of_the_number_wrote(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = context.partners[0].sub
    other = insert(db, "partners", email="lain@hub.test", business_name="Salon Lain", password_hash="x")

    def written() -> tuple[bool, bool]:
        text = json.dumps(call(db, superadmin, "export_partner", partner_id=who), default=str)
        return "Halo Saya" in text, "Halo Lain" in text

    def give_up(partner: str | None, phone: str | None, minute: int) -> None:
        db.execute("update app.partners set phone = %s where id = %s", [phone, partner])
        db.execute(
            "update app.partner_former_contacts set replaced_at = now() + %s * interval '1 minute'"
            " where partner_id = %s and phone = %s",
            [minute, partner, EARLIER],
        )

    def write(text: str, minute: int) -> None:
        receive(db, webhook(text_message(text, EARLIER.lstrip("+"), text)))
        db.execute(
            "update app.inbound_messages set received_at = now() + %s * interval '1 minute'"
            " where payload::text like '%%' || %s || '%%'",
            [minute, text],
        )

    db.execute("update app.partners set phone = %s where id = %s", [EARLIER, who])
    write("Halo Saya", 0)
    give_up(who, NUMBER, 1)
    db.execute("update app.partners set phone = %s where id = %s", [EARLIER, other])
    write("Halo Lain", 2)
    assert written() == (True, False)
    give_up(other, None, 3)
    assert written() == (True, False)
    db.execute("update app.partners set phone = %s where id = %s", [EARLIER, who])
    assert written() == (True, False), "it is theirs again, from then on"


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
