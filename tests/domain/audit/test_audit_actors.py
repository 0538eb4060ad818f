"""The audit trail names the right actor, and omits no table and no row."""

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.calls import call_rpc, refused
from tests.support.client import caller
from tests.support.context import (
    Caller,
    Connection,
    Context,
    approve,
    as_owner,
    call,
    grant_points,
    items,
    pay,
    routed_subdist,
    set_config,
    shadow,
    submit,
    trust_proxies,
    value,
)
from tests.support.factories import insert, make_agent, set_price
from tests.support.queries import audit_rows, vest_points


@pytest.fixture
def order(db: Connection, context: Context) -> dict[str, Any]:
    return submit(db, context.partners[0], items(SKU_000=10))


def test_audit_row_names_actor_type_role_and_represented_partner(db: Connection, context: Context) -> None:
    who, agent = context.partners[0], context.agents[0]
    order = submit(db, shadow(db, agent, who), items(SKU_000=1))
    subdist = routed_subdist(db, order)
    approve(db, context, order)
    call(db, context.erp, "erp_ack_order", order_id=order["id"], erp_reference="SO-1")
    call(db, who, "cancel_order", order_id=order["id"])
    db.execute("select set_config('role', 'none', true)")
    db.execute("update app.orders set notes = 'psql' where id = %s", [order["id"]])
    columns = ("action", "actor_type", "actor_role", "actor_id", "on_behalf_of")
    assert [tuple(row[c] for c in columns) for row in audit_rows(db, target_id=order["id"])] == [
        ("INSERT", "AGENT", "partner", agent.sub, who.sub),
        ("UPDATE", "SYSTEM", "subdist", subdist.sub, None),
        ("UPDATE", "AGENT", "admin", context.admin.sub, None),
        ("UPDATE", "SYSTEM", "erp", context.erp.sub, None),
        ("UPDATE", "PARTNER", "partner", who.sub, None),
        ("UPDATE", "SYSTEM", "system", None, None),
    ]


def test_job_is_audited_as_system(db: Connection, context: Context, order: dict[str, Any]) -> None:
    pay(db, context, approve(db, context, order))
    audit_rows(db)
    with as_owner(db):  # as pg_cron runs every job
        vest_points(db)
    rows = audit_rows(db, target_type="point_transactions")
    assert [(row["actor_type"], row["actor_role"], row["actor_id"]) for row in rows] == [
        ("SYSTEM", "system", None)
    ]


def test_lines_are_audited_under_the_calling_actor(
    db: Connection, context: Context, order: dict[str, Any]
) -> None:
    lines = audit_rows(db, target_type="order_items")
    assert [(row["actor_id"], row["new_value"]["order_id"]) for row in lines] == [
        (context.partners[0].sub, order["id"])
    ]


def test_derived_columns_of_partners_are_not_audited(db: Connection, context: Context) -> None:
    who = context.partners[0]
    audit_rows(db)
    db.execute("update app.partners set credit_used = credit_used + 1 where id = %s", [who.sub])
    grant_points(db, context, who, 5)
    assert audit_rows(db, target_id=who.sub, action="UPDATE") == []
    db.execute(
        "update app.partners set credit_used = credit_used - 1, credit_limit = 7, point_balance = 0"
        " where id = %s",
        [who.sub],
    )
    (row,) = audit_rows(db, target_id=who.sub, action="UPDATE")
    assert (row["old_value"], row["new_value"]) == ({"credit_limit": 100_000_000}, {"credit_limit": 7})


def test_every_other_column_of_partners_is_audited(db: Connection) -> None:
    """A trigger's list of columns does not follow the table."""
    columns = "select array_agg(attname::text) from pg_attribute a where attrelid = 'app.partners'::regclass"
    every = set(value(db, columns + " and attnum > 0 and not attisdropped"))
    listed = set(
        value(
            db,
            columns + " and attnum = any (array(select unnest(tgattr) from pg_trigger"
            " where tgrelid = a.attrelid and tgname = '_800_audit_update'))",
        )
    )
    assert every - listed == {"credit_used", "point_balance", "updated_at"}


def buffered(db: Connection) -> list[str]:
    """The tables of the buffered records, in their order."""
    return [name for (name,) in db.execute("select target_type from app.audit_buffer order by id")]


def test_submission_is_one_record_with_a_row_for_the_order_and_each_line(
    db: Connection, context: Context
) -> None:
    audit_rows(db)
    order = submit(db, context.partners[0], items(SKU_000=1, SKU_001=2, SKU_002=3))
    assert buffered(db) == ["order_items"]
    (row,) = audit_rows(db, target_type="orders")
    assert (row["action"], row["target_id"], row["old_value"]) == ("INSERT", order["id"], None)
    masked = '{"request_hash": "***", "idempotency_key": "***"}'
    stored = value(db, "select to_jsonb(o) || %s::jsonb from app.orders o where id = %s", masked, order["id"])
    assert row["new_value"] == stored
    line_rows = "select jsonb_agg(i order by id) from app.order_items i where order_id = %s"
    lines = value(db, line_rows, order["id"])
    recorded = audit_rows(db, target_type="order_items")
    assert sorted((row["new_value"] for row in recorded), key=lambda line: str(line["id"])) == lines
    assert {(row["action"], row["old_value"]) for row in recorded} == {("INSERT", None)}


def test_draft_and_its_submission_are_recorded_once_each(db: Connection, context: Context) -> None:
    audit_rows(db)
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=1, SKU_001=2))
    assert buffered(db) == ["orders", "order_items"]
    call(db, context.partners[0], "submit_draft", order_id=draft["id"], idempotency_key="k")
    rows = audit_rows(db, target_type="orders")
    assert [row["action"] for row in rows] == ["INSERT", "UPDATE"]
    assert [row["new_value"]["status"] for row in rows] == ["DRAFT", "SUBMITTED"]
    assert len(audit_rows(db, target_type="order_items", action="INSERT")) == 2


def test_lines_of_several_drafts_in_one_statement_are_all_audited(db: Connection, context: Context) -> None:
    drafts = [call(db, who, "save_draft", items=items(SKU_000=1)) for who in context.partners]
    audit_rows(db)
    with as_owner(db):
        db.execute(
            "insert into app.order_items (order_id, partner_id, product_id, quantity, list_price,"
            " unit_price, line_total) select o.id, o.partner_id, %s, 2, 5, 5, 10 from app.orders o",
            [context.products["SKU-001"]],
        )
    rows = audit_rows(db, target_type="order_items")[len(drafts) :]
    assert {row["new_value"]["order_id"] for row in rows} == {draft["id"] for draft in drafts}
    assert len(rows) == len(drafts)


def test_order_to_payment_cycle_is_audited_in_every_table(
    db: Connection, context: Context, order: dict[str, Any]
) -> None:
    who = context.partners[0]
    shadow(db, context.agents[0], who)
    invoice = approve(db, context, order)
    pay(db, context, invoice)
    vest_points(db)
    call(db, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    set_price(db, context, 70_000)
    set_config(db, context, "order.max_lines", 7)
    db.execute(
        "update app.agents set full_name = 'X'; update app.sub_distributors set email = 'x@y.id';"
        " update app.partners set chair_count = 3"
    )
    audited = {(row["target_type"], row["action"]) for row in audit_rows(db)}
    inserted = {
        "partners", "agents", "sub_distributors", "orders", "order_items", "invoices", "invoice_payments",
        "point_transactions", "redemptions", "tier_prices", "agent_sessions",
    }  # fmt: skip
    assert {(table, "INSERT") for table in inserted} <= audited
    changed = ("partners", "agents", "sub_distributors", "orders", "invoices", "system_configs")
    assert {(table, "UPDATE") for table in changed} <= audited
    assert value(db, "select count(*) from app.audit_buffer") == 0


def test_deleted_row_is_audited_with_all_its_columns(db: Connection, context: Context) -> None:
    price = set_price(db, context, 70_000, "now() + interval '1 day'")
    draft = call(db, context.partners[0], "save_draft", items=items(SKU_000=1))
    db.execute("delete from app.tier_prices")
    with as_owner(db):
        db.execute("delete from app.order_items where order_id = %s", [draft["id"]])
    (gone,) = audit_rows(db, target_id=price, action="DELETE")
    assert (gone["old_value"]["price"], gone["new_value"]) == (70_000, None)
    assert len(audit_rows(db, target_type="order_items", action="DELETE")) == 1


def test_bulk_update_in_another_row_order_pairs_old_and_new_values(db: Connection, context: Context) -> None:
    """The trigger pairs two transition tables whose row order may differ from the table's."""
    chairs = {
        insert(db, "partners", email=f"b{n}@hub.test", password_hash="x", business_name="B", chair_count=n): n
        for n in range(1, 21)
    }
    audit_rows(db)
    db.execute(
        "update app.partners p set chair_count = w.chair_count * 100 from (select id, chair_count"
        " from app.partners where chair_count > 0 order by md5(id::text) offset 0) w where w.id = p.id"
    )
    rows = audit_rows(db, action="UPDATE")
    changes = {row["target_id"]: (row["old_value"], row["new_value"]) for row in rows}
    assert changes == {who: ({"chair_count": n}, {"chair_count": n * 100}) for who, n in chairs.items()}


def test_statement_without_rows_is_not_audited(db: Connection, context: Context) -> None:
    audit_rows(db)
    before = value(db, "select count(*) from app.audit_buffer")
    db.execute("update app.partners set tier = tier where false")
    db.execute("delete from app.tier_prices")
    assert value(db, "select count(*) from app.audit_buffer") == before == 0


def test_callers_address_is_kept_and_masked_in_row_values(db: Connection, context: Context) -> None:
    trust_proxies(db)
    headers = {"X-Forwarded-For": " 203.0.113.7 , 10.0.0.1"}
    call_rpc(db, context.partners[0], "save_draft", headers, items=items(SKU_000=1))
    call_rpc(db, context.agents[0], "start_shadow_session", headers, partner_id=context.partners[0].sub)
    assert {row["ip_address"] for row in audit_rows(db, action="INSERT", target_type="orders")} == {
        "203.0.113.7"
    }
    (session,) = audit_rows(db, target_type="agent_sessions")
    assert session["new_value"]["ip_address"] == "20*******.7"


def test_rolled_back_call_is_not_audited(db: Connection, context: Context) -> None:
    audit_rows(db)
    with refused(db, "OUT_OF_STOCK"):
        submit(db, context.partners[0], items(SKU_000=1001))
    assert audit_rows(db, target_type="orders") == []


def test_statement_with_several_rows_is_audited_once_per_row(db: Connection, context: Context) -> None:
    order = submit(db, context.partners[0], items(SKU_000=1, SKU_001=2, SKU_002=3))
    rows = audit_rows(db, target_type="order_items")
    assert sorted(row["new_value"]["quantity"] for row in rows) == [1, 2, 3]
    assert {row["new_value"]["order_id"] for row in rows} == {order["id"]}
    assert len({row["target_id"] for row in rows}) == 3


def test_limited_flush_leaves_the_rest_for_the_next_flush(db: Connection, context: Context) -> None:
    audit_rows(db)
    for i in range(5):
        make_agent(db, None, full_name=f"Agen {i}")
    assert [value(db, "select app.flush_audit_buffer(2)") for _ in range(4)] == [2, 2, 1, 0]
    assert len(audit_rows(db, target_type="agents", action="INSERT")) >= 5


def test_no_role_can_insert_into_the_audit_trail(db: Connection, context: Context) -> None:
    forged_row = (
        "insert into app.audit_logs (actor_type, actor_role, target_type, action, created_at)"
        " values ('SYSTEM', 'x', 'orders', 'FORGED', now())"
    )
    for who in (context.admin, context.partners[0], Caller("erp", str(uuid.uuid4()))):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), caller(db, who.role, who.sub):
            db.execute(forged_row)
