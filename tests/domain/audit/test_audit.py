"""The audit trail is complete, names the actor, masks personal data and is append-only."""

from typing import Any

import psycopg
import pytest

from tests.support.client import caller
from tests.support.context import (
    Connection,
    Context,
    as_owner,
    grant_points,
    items,
    shadow,
    submit,
    trust_proxies,
    value,
)
from tests.support.queries import audit_rows

AUDITED = [
    "partners", "agents", "sub_distributors", "orders", "order_items", "invoices", "invoice_payments",
    "point_transactions", "redemptions", "tier_prices", "system_configs", "agent_sessions", "regions",
    "brands", "categories", "products", "redemption_catalog", "credit_notes", "credit_note_items",
    "invoice_credits",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _flushed(db: Connection, context: Context) -> None:
    db.execute("select app.flush_audit_buffer()")


def actors(db: Connection, order: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(action, actor's id, type of actor, represented partner) of each audit row of an order."""
    columns = ("action", "actor_id", "actor_type", "on_behalf_of")
    return [tuple(row[c] for c in columns) for row in audit_rows(db, target_id=order["id"])]


@pytest.mark.parametrize("table", AUDITED)
def test_every_financial_and_personal_table_is_audited(db: Connection, table: str) -> None:
    events = db.execute(
        "select string_agg(event_manipulation, ',' order by event_manipulation)"
        " from information_schema.triggers where event_object_schema = 'app' and event_object_table = %s"
        " and trigger_name like '\\_800\\_audit%%'",
        [table],
    ).fetchone()
    assert events == ("DELETE,INSERT,UPDATE",)


def test_order_of_a_partner_is_audited_with_the_partner_as_actor(db: Connection, context: Context) -> None:
    who = context.partners[0]
    order = submit(db, who, items(SKU_000=1))
    assert actors(db, order) == [("INSERT", who.sub, "PARTNER", None)]


def test_order_in_shadow_mode_is_audited_with_the_agent_on_behalf_of_the_partner(
    db: Connection, context: Context
) -> None:
    agent, who = context.agents[0], context.partners[0]
    order = submit(db, shadow(db, agent, who), items(SKU_000=1))
    assert actors(db, order) == [("INSERT", agent.sub, "AGENT", who.sub)]


def test_audit_row_keeps_the_callers_address(db: Connection, context: Context) -> None:
    who = context.partners[0]
    trust_proxies(db)
    with caller(db, "partner", who.sub, headers={"X-Forwarded-For": "203.0.113.7, 10.0.0.1"}):
        db.execute("""select api.save_draft('[{"sku": "SKU-000", "quantity": 1}]')""")
    db.execute("select app.flush_audit_buffer()")
    assert (
        value(db, "select max(ip_address) from app.audit_logs where target_type = 'orders'") == "203.0.113.7"
    )


def test_audit_row_masks_personal_data_and_omits_hashes(db: Connection, context: Context) -> None:
    who = context.partners[0]
    db.execute(
        "update app.partners set phone = '0812 3456 7890', password_hash = 'secret-hash',"
        " address = 'Jl. Braga 1' where id = %s",
        [who.sub],
    )
    db.execute("select app.flush_audit_buffer()")
    text = value(db, "select string_agg(a::text, ' ') from app.audit_logs a where target_id = %s", who.sub)
    assert "secret-hash" not in text
    assert "+6281234567890" not in text
    assert "Braga" not in text
    assert "+6**********90" in text


def test_update_is_audited_with_changed_columns_only(db: Connection, context: Context) -> None:
    who = context.partners[0]
    db.execute("update app.partners set credit_limit = 7 where id = %s", [who.sub])
    db.execute("select app.flush_audit_buffer()")
    row = db.execute(
        "select old_value, new_value from app.audit_logs where target_id = %s and action = 'UPDATE'",
        [who.sub],
    ).fetchone()
    assert row == ({"credit_limit": 100_000_000}, {"credit_limit": 7})


def test_bulk_update_pairs_old_and_new_values_of_each_row(db: Connection, context: Context) -> None:
    db.execute("update app.partners set chair_count = 1")
    db.execute("update app.partners set chair_count = abs(hashtext(email)) % 1000000 + 2")
    db.execute("select app.flush_audit_buffer()")
    pairs = db.execute(
        "select (l.old_value ->> 'chair_count')::int, (l.new_value ->> 'chair_count')::int, p.chair_count"
        " from app.audit_logs l join app.partners p on p.id = l.target_id"
        " where l.action = 'UPDATE' and l.old_value ->> 'chair_count' = '1'"
    ).fetchall()
    assert len(pairs) == len(context.partners)
    assert [(1, chairs, chairs) for _, _, chairs in pairs] == pairs


@pytest.mark.parametrize(
    "statement",
    [
        "update app.audit_logs set action = 'NOTHING'",
        "delete from app.audit_logs",
        "truncate app.audit_logs",
        "update app.audit_buffer set action = 'NOTHING'",
        "truncate app.audit_buffer",
        "update app.audit_logs_default set action = 'NOTHING'",
        "delete from app.audit_logs_default",
        "truncate app.audit_logs_default",
        "update app.order_events set note = 'x'",
        "delete from app.point_transactions",
        "truncate app.point_transactions",
    ],
)
def test_audit_trail_and_ledgers_are_append_only(db: Connection, context: Context, statement: str) -> None:
    grant_points(db, context, context.partners[0], 5)
    submit(db, context.partners[0], items(SKU_000=1))
    db.execute(
        "insert into app.audit_logs (actor_type, actor_role, target_type, action, created_at)"
        " values ('SYSTEM', 'system', 'orders', 'INSERT', '2001-01-01')"
    )
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
        db.execute(statement.encode())
    with as_owner(db), pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
        db.execute(statement.encode())


def test_second_flush_moves_no_row(db: Connection, context: Context) -> None:
    submit(db, context.partners[0], items(SKU_000=1))
    assert value(db, "select app.flush_audit_buffer()") > 0
    assert value(db, "select app.flush_audit_buffer()") == 0


def test_new_partition_takes_rows_of_its_month_from_the_default_partition(
    db: Connection, context: Context
) -> None:
    assert value(db, "select jobs.make_partitions()") == 0
    month = value(db, "select to_char(now() at time zone 'UTC' + interval '5 months', 'YYYY_MM')")
    db.execute(
        "insert into app.audit_logs (actor_type, actor_role, target_type, action, created_at)"
        " values ('SYSTEM', 'system', 'orders', 'INSERT', now() + interval '5 months')"
    )
    assert value(db, "select count(*) from app.audit_logs_default") == 1
    with as_owner(db):
        assert value(db, "select app.make_audit_partitions(5)") == 2
    assert value(db, "select count(*) from app.audit_logs_default") == 0
    assert value(db, f"select count(*) from app.audit_logs_{month}") == 1
    for statement in ("update {} set action = 'X'", "delete from {}", "truncate {}"):
        with as_owner(db), pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction():
            db.execute(statement.format(f"app.audit_logs_{month}").encode())


def test_every_partition_refuses_to_be_changed_or_emptied_by_its_owner(db: Connection) -> None:
    rows = db.execute(
        "select c.relname, string_agg(t.tgname, ',' order by t.tgname)"
        " from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " left join pg_trigger t on t.tgrelid = c.oid and t.tgenabled = 'O'"
        " where i.inhparent = 'app.audit_logs'::regclass group by c.relname"
    ).fetchall()
    assert len(rows) >= 5
    assert {triggers for _, triggers in rows} == {"_100_append_only,_200_no_truncate"}


@pytest.mark.parametrize(
    ("text", "secret"),
    [("Ruko @ Jalan Kemang Raya 10", "Kemang Raya"), ("d/a Sari (sari@mail.id), Jl. Braga 12", "Braga 12")],
)
def test_address_with_an_at_sign_is_masked(db: Connection, text: str, secret: str) -> None:
    assert secret not in value(db, "select app.mask(%s)", text)
    assert value(db, "select app.mask('sari@mail.id')") == "s***@mail.id"
