"""Everything that is stored about agents and sub-distributors is exported to superadmins, and recorded."""

import json
from typing import Any

import pytest

from tests.domain.audit.test_classification import classes
from tests.domain.partners.test_erasure import partner_with_a_history
from tests.support.calls import refused
from tests.support.context import Caller, Connection, Context, as_owner, call, routed_subdist, value
from tests.support.factories import insert, make_agent
from tests.support.messaging import receive, text_message, webhook
from tests.support.queries import audit_rows

pytestmark = pytest.mark.context(partners=1, products=3)

NUMBER = "+6281388880001"
CALLS = {"agents": "export_agent", "sub_distributors": "export_subdist"}
ARGUMENTS = {"export_agent": "agent_id", "export_subdist": "subdist_id"}

NOT_THEIRS = {
    # keys and hashes of calls that they made for partners
    "app.orders.idempotency_key", "app.orders.request_hash", "app.redemptions.idempotency_key",
    # of the partner who paid
    "app.invoice_payments.payment_method", "app.invoice_payments.reference_number",
    "app.invoice_payments.reference_key",
    # values of others' rows, masked; the addresses are in "changes"
    "app.audit_logs.old_value", "app.audit_logs.new_value", "app.audit_logs.ip_address",
}  # fmt: skip
"""Personal columns, in rows that name someone, which their export leaves out; each kind with its reason."""

OF_PARTNERS = {
    "app.orders.notes", "app.orders.status_reason", "app.orders.release_reason",
}  # fmt: skip
"""What partners and headquarters wrote into orders that are routed to a sub-distributor."""


@pytest.fixture
def superadmin(db: Connection) -> Caller:
    return Caller("superadmin", make_agent(db, None, role="SUPERADMIN").sub)


def export(conn: Connection, superadmin: Caller, name: str, subject: str | None) -> dict[str, Any]:
    found: dict[str, Any] = call(conn, superadmin, name, **{ARGUMENTS[name]: subject})
    return found


def not_exported(conn: Connection, subject: str | None, found: dict[str, Any]) -> set[str]:
    """Personal columns, of rows that name the subject in any column, whose values are not exported."""
    missing = set()
    for table, columns in classes(conn).items():
        personal = [column for column, kind in columns.items() if kind not in ("none", "secret", None)]
        name = table.split(".")[1]
        exported = [found[name]] if isinstance(found.get(name), dict) else found.get(name, [])
        rows = conn.execute(
            f"select to_jsonb(t) from {table} as t where %s in (select v.value"
            " from jsonb_each_text(to_jsonb(t)) as v)".encode(),
            [subject],
        ).fetchall()
        for (row,) in rows:
            missing |= {
                f"{table}.{column}"
                for column in personal
                if row[column] is not None and not [e for e in exported if e.get(column) == row[column]]
            }
    return missing


@pytest.fixture
def subjects(db: Connection, context: Context) -> dict[str, tuple[str, str | None]]:
    """An agent, an admin and a sub-distributor who have done what they can: their call and id."""
    partner_with_a_history(db, context)
    order = {"id": str(value(db, "select id from app.orders where routed_to_subdist_id is not null limit 1"))}
    subdist, agent = routed_subdist(db, order).sub, context.agents[0].sub
    db.execute("update app.agents set phone = %s, password_hash = 'x-hash' where id = %s", [NUMBER, agent])
    db.execute("update app.sub_distributors set whatsapp_number = %s where id = %s", [NUMBER, subdist])
    receive(db, webhook(text_message("Halo dari saya", NUMBER.lstrip("+"), "wamid.saya")))
    for subject, role in ((agent, "agent"), (subdist, "subdist"), (context.admin.sub, "admin")):
        value(db, "select auth.open_session(%s, %s) is null", subject, role)
    db.execute("update auth.sessions set user_agent = 'Peramban', ip_address = '10.1.2.3'")
    db.execute("update app.agent_sessions set ip_address = '10.1.2.3'")
    insert(
        db, "messages", template="inbound_text", recipient_type="AGENT", recipient_id=agent, priority=2,
        variables='{"x": "y"}',
    )  # fmt: skip
    audit_rows(db)
    return {
        "agent": ("export_agent", agent),
        "admin": ("export_agent", context.admin.sub),
        "subdist": ("export_subdist", subdist),
    }


@pytest.mark.parametrize("who", ["agent", "admin", "subdist"])
def test_export_contains_every_personal_column_of_rows_that_name_them(
    db: Connection, superadmin: Caller, subjects: dict[str, tuple[str, str | None]], who: str
) -> None:
    name, subject = subjects[who]
    found = export(db, superadmin, name, subject)
    theirs = NOT_THEIRS | OF_PARTNERS if who == "subdist" else NOT_THEIRS
    assert not_exported(db, subject, found) - theirs == set()
    expected = {
        "agent": ["messages", "sessions", "inbound_messages", "conversations", "agent_sessions", "orders"],
        "admin": ["sessions", "order_events", "invoice_payments", "point_transactions", "changes"],
        "subdist": ["messages", "sessions", "inbound_messages", "sla_escalation_logs", "orders"],
    }
    for table in expected[who]:
        assert found[table], table
    assert "x-hash" not in json.dumps(found)
    assert "password_hash" not in found["sub_distributors" if who == "subdist" else "agents"]


def test_notes_of_partners_are_not_in_the_export_of_a_sub_distributor(
    db: Connection, superadmin: Caller, subjects: dict[str, tuple[str, str | None]]
) -> None:
    found = export(db, superadmin, *subjects["subdist"])
    assert {key for row in found["orders"] for key in row} == {"id", "routed_to_subdist_id"}


def test_new_table_that_names_agents_is_in_the_export_and_another_is_reported(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    agent = context.agents[0].sub
    for table, reference in (("remarks", "references app.agents"), ("reports", "")):
        with as_owner(db):
            db.execute(
                f"create table app.{table} (id uuid primary key default app.uuid_v7(),"
                f" agent_id uuid {reference}, remark text)".encode()
            )
        db.execute(f"comment on column app.{table}.remark is '[pii: text]'".encode())
        db.execute(f"insert into app.{table} (agent_id, remark) values (%s, 'Rajin')".encode(), [agent])
    found = export(db, superadmin, "export_agent", agent)
    assert [row["remark"] for row in found["remarks"]] == ["Rajin"]
    assert not_exported(db, agent, found) == {"app.reports.remark"}


def test_sign_in_link_that_waits_to_be_sent_is_not_exported(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = context.subdists[0]
    number = value(db, "select whatsapp_number from app.sub_distributors where id = %s", who.sub)
    call(db, Caller("anon"), "request_link", whatsapp_number=number)
    token = value(db, "select variables ->> 'token' from app.messages where template = 'sign_in_link'")
    found = export(db, superadmin, "export_subdist", who.sub)
    assert [row["template"] for row in found["messages"]] == ["sign_in_link"]
    assert token
    assert token not in json.dumps(found)


def test_export_leaves_out_what_a_partner_wrote_who_had_the_number_before(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    partner, agent = context.partners[0].sub, context.agents[0].sub
    for owner, text in ((partner, "Halo Mitra"), (None, "Halo Agen")):
        db.execute("update app.partners set phone = %s where id = %s", [owner and NUMBER, partner])
        receive(db, webhook(text_message(text, NUMBER.lstrip("+"), text)))
        db.execute(
            "update app.inbound_messages set received_at = clock_timestamp()"
            " where payload::text like '%%' || %s || '%%'",
            [text],
        )
    db.execute("update app.agents set phone = %s where id = %s", [NUMBER, agent])
    text = json.dumps(export(db, superadmin, "export_agent", agent)["inbound_messages"])
    assert ("Halo Mitra" in text, "Halo Agen" in text) == (False, True)


def test_deleted_sub_distributor_is_exported_from_what_remains(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    region = value(db, "select region_id from app.sub_distributors limit 1")
    gone = insert(
        db, "sub_distributors", business_name="Toko Pergi", whatsapp_number=NUMBER, region_id=region
    )  # fmt: skip
    value(db, "select auth.open_session(%s, 'subdist') is null", gone)
    call(db, Caller("anon"), "request_link", whatsapp_number=NUMBER)
    db.execute("delete from app.sub_distributors where id = %s", [gone])
    audit_rows(db)
    found = export(db, superadmin, "export_subdist", gone)
    assert found["sub_distributors"] is None
    assert [row["action"] for row in found["audit_logs"]] == ["INSERT", "DELETE"]
    assert (len(found["messages"]), len(found["sessions"])) == (1, 1)


@pytest.mark.parametrize("table", CALLS)
def test_export_is_recorded_in_the_trail(
    db: Connection, context: Context, superadmin: Caller, table: str
) -> None:
    subject = (context.agents if table == "agents" else context.subdists)[0].sub
    export(db, superadmin, CALLS[table], subject)
    (row,) = audit_rows(db, action="EXPORT")
    assert (row["target_type"], row["target_id"]) == (table, subject)
    assert (row["actor_id"], row["actor_role"]) == (superadmin.sub, "superadmin")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_partner_is_neither_agent_nor_sub_distributor(
    db: Connection, context: Context, superadmin: Caller, name: str
) -> None:
    audit_rows(db)
    with refused(db, "NOT_FOUND"):
        export(db, superadmin, name, context.partners[0].sub)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_only_superadmins_export(db: Connection, context: Context, name: str) -> None:
    db.execute(f"grant execute on function api.{name}(uuid) to agent, admin, subdist".encode())
    for caller in (context.admin, context.agents[0], context.subdists[0]):
        with refused(db, "NOT_ALLOWED"):
            export(db, caller, name, caller.sub)
