"""Triggers that apply to every write, by any caller."""

import psycopg
import pytest

from tests.support.context import Connection, value

APPEND_ONLY = {
    "audit_buffer": "update truncate",  # the flush deletes what it has moved
    "audit_logs": "update delete truncate",
    "credit_note_items": "update delete truncate",
    "credit_notes": "update delete truncate",
    "idempotency_keys": "update delete truncate",
    "invoice_credits": "update delete truncate",
    "invoice_payments": "update delete truncate",
    "order_events": "update delete truncate",
    "partner_removals": "update delete truncate",
    "point_transactions": "update delete truncate",
    "system_config_history": "update delete truncate",
}
TOUCHED = [
    "partners", "agents", "sub_distributors", "products", "regions", "brands", "categories", "inventory",
    "tier_prices", "redemption_catalog",
]  # fmt: skip
NUMBERS = {
    "partners": (
        "phone",
        "insert into app.partners (email, password_hash, business_name, tier, phone)"
        " values ('new@hub.test', 'x', 'Salon', 'SILVER', %s)",
    ),
    "agents": (
        "phone",
        "insert into app.agents (email, password_hash, full_name, role, phone)"
        " values ('new@hub.test', 'x', 'Budi', 'ADMIN', %s)",
    ),
    "sub_distributors": (
        "whatsapp_number",
        "insert into app.sub_distributors (region_id, business_name, whatsapp_number)"
        " select id, 'CV Baru', %s from app.regions limit 1",
    ),
}


def _tables_with(conn: Connection, function: str) -> set[str]:
    return {
        name
        for (name,) in conn.execute(
            "select tgrelid::regclass::text from pg_trigger join pg_class c on c.oid = tgrelid"
            " where tgfoid = %s::regproc and tgparentid = 0 and not c.relispartition",
            [function],
        )
    }


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_ledgers_and_audit_tables_are_append_only(conn: Connection, table: str) -> None:
    column = value(
        conn,
        "select max(attname::text) from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and attidentity = '' and attgenerated = '' and not attisdropped",
        f"app.{table}",
    )
    statements = {
        "update": f"update app.{table} set {column} = {column}",
        "delete": f"delete from app.{table}",
        "truncate": f"truncate app.{table} cascade",
    }
    assert value(conn, f"select count(*) from app.{table}"), "the table has no row to test with"
    for what in APPEND_ONLY[table].split():
        with pytest.raises(psycopg.Error, match=f"APPEND_ONLY.*{what} of {table}"), conn.transaction():
            conn.execute(statements[what].encode())


def test_all_append_only_tables_are_listed(conn: Connection) -> None:
    guarded = _tables_with(conn, "app.tg_append_only") | _tables_with(conn, "app.tg_audit_logs__append_only")
    assert guarded == {f"app.{table}" for table in APPEND_ONLY}


@pytest.mark.parametrize("table", TOUCHED)
def test_updated_at_is_the_time_of_the_last_change(conn: Connection, table: str) -> None:
    conn.execute(f"update app.{table} set updated_at = '2001-01-01'".encode())
    assert value(conn, f"select array_agg(distinct updated_at) = array[now()] from app.{table}")


@pytest.mark.parametrize("table", NUMBERS)
def test_phone_numbers_are_stored_as_e164(conn: Connection, table: str) -> None:
    column, insert = NUMBERS[table]
    one = f"(select id from app.{table} limit 1)"
    conn.execute(f"update app.{table} set {column} = ' 0899 - 1234.5678' where id = {one}".encode())
    conn.execute(insert.encode(), ["(0899) 7654-321"])
    for number in ("+6289912345678", "+628997654321"):
        assert value(conn, f"select count(*) from app.{table} where {column} = '{number}'") == 1


def test_a_config_history_starts_with_its_first_version(conn: Connection) -> None:
    conn.execute("set local session_replication_role = replica")
    conn.execute("delete from app.system_config_history where config_key = 'order.max_lines'")
    conn.execute("delete from app.system_configs where config_key = 'order.max_lines'")
    conn.execute("set local session_replication_role = default")
    conn.execute(
        "insert into app.system_configs (config_key, config_value) values ('order.max_lines', '150')"
    )
    rows = conn.execute(
        "select version, old_value, new_value from app.system_config_history"
        " where config_key = 'order.max_lines'"
    ).fetchall()
    assert rows == [(1, None, 150)]


def test_a_config_key_cannot_be_renamed(conn: Connection) -> None:
    conn.execute("set local session_replication_role = replica")
    conn.execute("delete from app.system_configs where config_key = 'order.max_lines'")
    conn.execute("set local session_replication_role = default")
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), conn.transaction():
        conn.execute(
            "update app.system_configs set config_key = 'order.max_lines', config_value = '150'"
            " where config_key = 'sla.reminder_hours'"
        )


def test_an_unknown_config_key_is_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.Error, match="UNKNOWN_CONFIG"), conn.transaction():
        conn.execute("insert into app.system_configs (config_key, config_value) values ('no.such.key', '1')")
