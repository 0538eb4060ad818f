"""Names, numbers, addresses and free text are masked in the trail; every text column is classified."""

import pytest
from psycopg.types.json import Jsonb

from tests.support.context import (
    Connection,
    Context,
    adjust_points,
    as_owner,
    call,
    items,
    shadow,
    submit,
    value,
)
from tests.support.queries import audit_rows

CLEAR = {
    # numbers that the hub or the ERP gave
    "credit_notes.credit_note_number",
    "invoices.invoice_number",
    "orders.erp_reference",
    "orders.order_number",
    # one of a few words
    "invoice_payments.kind",
    "orders.over_limit_reason",
    # configuration, and its values that an order pinned
    "orders.rules_applied",
    "system_configs.config_key",
    "system_configs.config_value",
    "system_configs.description",
    # the catalogue and the regions
    "brands.logo_url",
    "brands.name",
    "categories.name",
    "categories.slug",
    "products.description",
    "products.image_url",
    "products.name",
    "products.sku",
    "redemption_catalog.description",
    "redemption_catalog.image_url",
    "redemption_catalog.name",
    "regions.code",
    "regions.name",
    "regions.time_zone",
}
"""Columns of audited tables that hold text, but no personal data."""

COLUMNS = """
select c.relname || '.' || a.attname
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type as t on t.oid = a.atttypid
where c.relnamespace = 'app'::regnamespace
  and exists (select from pg_trigger as g where g.tgrelid = c.oid and g.tgname like '_800_audit%')
  and case t.typtype when 'd' then t.typbasetype else t.oid end
    in ('text'::regtype, 'varchar'::regtype, 'json'::regtype, 'jsonb'::regtype, 'bytea'::regtype)
"""


def test_every_text_column_of_an_audited_table_is_masked_or_known_to_be_clear(db: Connection) -> None:
    columns = {str(row[0]) for row in db.execute(COLUMNS)}
    tables = {column.partition(".")[0] for column in columns}
    masked = {
        f"{table}.{column}"
        for table in tables
        for column in value(db, "select app.personal_columns(%s)", table) or []
    }
    assert masked & CLEAR == set()
    assert columns == masked | CLEAR


@pytest.mark.parametrize(
    ("table", "row", "masked"),
    [
        (
            "partners",
            {
                "password_hash": "$2a$10$abc", "email": "a@b.id", "phone": None, "address": "Jl. Braga 1",
                "business_name": "Salon Sari", "specialization": "Keratin", "credit_limit": 7,
            },
            {
                "password_hash": "***", "email": "a***@b.id", "phone": None, "address": "Jl******* 1",
                "business_name": "Sa******ri", "specialization": "***", "credit_limit": 7,
            },
        ),
        (
            "agents",
            {"full_name": "Budi Santoso", "role": "ADMIN"},
            {"full_name": "Bu********so", "role": "ADMIN"},
        ),
        (
            "sub_distributors",
            {"whatsapp_number": "+6281234", "contact_person": "Budi"},
            {"whatsapp_number": "+6****34", "contact_person": "***"},
        ),
        (
            "orders",
            {"notes": "titip di Bu Sari", "request_hash": "x", "order_number": "ORD-1"},
            {"notes": "***", "request_hash": "***", "order_number": "ORD-1"},
        ),
        ("point_transactions", {"description": "hadiah Sari"}, {"description": "***"}),
        ("system_configs", {"description": "Hours"}, {"description": "Hours"}),
        ("invoice_payments", {"reference_number": "TRF-123"}, {"reference_number": "TR***23"}),
        ("tier_prices", {"price": 1}, {"price": 1}),
    ],
)  # fmt: skip
def test_row_is_masked_by_the_kind_of_its_columns(
    db: Connection, table: str, row: dict[str, object], masked: dict[str, object]
) -> None:
    assert value(db, "select app.mask_row(%s, %s)", table, Jsonb(row)) == masked


def test_no_text_of_a_business_day_is_in_the_trail_in_clear(db: Connection, context: Context) -> None:
    who = context.partners[0]
    audit_rows(db)
    secret = "Rahasia-Besar"
    db.execute(
        "update app.partners set business_name = %(s)s::text, address = %(s)s::text,"
        " specialization = %(s)s::text, email = lower(%(s)s::text) || '@x.id' where id = %(id)s",
        {"s": secret, "id": who.sub},
    )
    order = call(db, who, "submit_order", items=items(SKU_000=1), notes=secret, idempotency_key=f"{secret}-1")
    call(db, who, "cancel_order", order_id=order["id"], reason=secret)
    submit(db, shadow(db, context.agents[0], who), items(SKU_000=1))
    adjust_points(db, context.admin, who, 5, secret)
    with as_owner(db):
        db.execute("update app.sub_distributors set contact_person = %s", [secret])
    db.execute("select app.flush_audit_buffer()")
    trail = value(db, "select string_agg(l::text, ' ') from app.audit_logs l")
    assert secret.lower() not in trail.lower()


def test_old_months_of_the_trail_are_dropped(db: Connection, context: Context) -> None:
    db.execute(
        "create table app.audit_logs_2011_01 partition of app.audit_logs"
        " for values from ('2011-01-01 00:00+00') to ('2011-02-01 00:00+00')"
    )
    db.execute(
        "insert into app.audit_logs (actor_type, actor_role, target_type, action, created_at)"
        " select 'SYSTEM', 'system', 'orders', 'INSERT', t::timestamptz"
        " from unnest(array['2011-01-15', '2011-03-15', '2011-04-15']) t"
    )
    assert value(db, "select app.drop_audit_partitions('2011-01-31 23:00+00')") == 0
    assert value(db, "select app.drop_audit_partitions('2011-04-01 00:00+00')") == 1
    left = "select array_agg(created_at::date::text) from app.audit_logs where created_at < '2012-01-01'"
    assert value(db, left) == ["2011-04-15"]
    months = "select count(*) from app.audit_partitions() where ends_at > now()"
    assert value(db, months) >= 4, "present and future months stay"
