"""Nothing that identifies an erased partner is left in any table, and every sum stays."""

import threading
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.calls import call_rpc, refused
from tests.support.client import caller
from tests.support.context import (
    Caller,
    Connection,
    Context,
    approve,
    as_owner,
    broken_invariants,
    call,
    items,
    make_context,
    pay,
    refusal,
    routed_subdist,
    shadow,
    value,
)
from tests.support.factories import make_agent
from tests.support.messaging import receive, text_message, webhook
from tests.support.queries import vest_points
from tests.support.waiting import wait_until

SECRET = "Rahasia"
NUMBER = "+6281377770001"
KNOWN = (SECRET, NUMBER.lstrip("+")[2:])

OF_OTHERS = {
    # master data and configuration
    "app.agents", "app.brands", "app.catalogue_bodies", "app.categories", "app.inventory",
    "app.order_rules", "app.products", "app.redemption_catalog", "app.regions",
    "app.sub_distributors", "app.system_config_history", "app.system_configs", "app.tier_prices",
    "auth.jwt_secret", "auth.sign_in_links",
    # the state of jobs and adapters
    "app.erp_streams", "jobs.runs", "jobs.schedule",
}  # fmt: skip
"""Tables without a row that belongs to a partner."""

NOT_PERSONAL = {
    # what the hub or the ERP writes there: numbers, names of roles and templates, hashes
    "app.inbound_events.event_key", "app.inbound_events.outcome", "app.invoices.invoice_number",
    "app.credit_notes.credit_note_number", "app.idempotency_keys.call", "app.messages.template",
    "app.order_events.actor_role", "app.orders.erp_reference",
    "app.orders.order_number", "app.orders.rules_applied", "app.point_queue.last_error",
    "auth.sessions.revoked_reason",
    # of the agent who acted for the partner
    "app.agent_sessions.ip_address",
    # filled by the calls of this test, in the form in which they are found again
    "app.audit_buffer", "app.audit_logs", "app.conversations", "app.erp_quarantine",
    "app.inbound_messages.payload", "app.messages.provider_id", "app.messages.refused_id",
    "auth.login_attempts.key",
}  # fmt: skip
"""Text columns, and tables, that are not filled with a text of the partner; each kind with its reason."""

TEXT_COLUMNS = """
select n.nspname || '.' || c.relname, a.attname,
  case t.typtype when 'd' then t.typtypmod else a.atttypmod end,
  case t.typtype when 'd' then t.typbasetype else t.oid end in ('json'::regtype, 'jsonb'::regtype)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
join pg_type as t on t.oid = a.atttypid
where n.nspname in ('app', 'auth', 'jobs') and c.relkind in ('r', 'p') and not c.relispartition
  and case t.typtype when 'd' then t.typbasetype else t.oid end
    in ('text'::regtype, 'varchar'::regtype, 'json'::regtype, 'jsonb'::regtype)
order by 1, 2
"""

TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""


def found(conn: Connection, *texts: str) -> list[str]:
    """Rows, of any table of any schema, that contain one of these texts."""
    tables = [str(row[0]) for row in conn.execute(TABLES)]
    pattern = "%(" + "|".join(texts) + ")%"
    return [
        f"{table}: {row[0]}"
        for table in tables
        for row in conn.execute(
            f"select t::text from {table} as t where lower(t::text) similar to lower(%s)".encode(), [pattern]
        )
    ]


def fill_every_text_column(conn: Connection, partner: str) -> set[str]:
    """Write a text of the partner into each text column that takes one; returns the columns."""
    filled = set()
    conn.execute("set local session_replication_role = replica")
    conn.execute("update app.partner_removals set reason = %s", [SECRET])
    for table, column, length, is_json in conn.execute(TEXT_COLUMNS).fetchall():
        name = f"{table}.{column}"
        if table in OF_OTHERS | NOT_PERSONAL or name in NOT_PERSONAL | {"app.partners.phone"}:
            continue
        text = f"'{SECRET}-' || md5(ctid::text)"
        if is_json:
            text = f"coalesce({column}, '{{}}') || jsonb_build_object('x', {text})"
        elif length > 4:
            text = f"left({text}, {length - 4})"
        if name == "app.partners.email":
            text = f"lower({text}) || '@mail.id'"
        try:
            with conn.transaction():
                written = conn.execute(f"update {table} set {column} = {text}".encode()).rowcount
        except psycopg.errors.CheckViolation:
            continue  # takes words of a list only
        assert written, f"no row of {table} to write to"
        filled.add(name)
    conn.execute("set local session_replication_role = default")
    return filled


def partner_with_a_history(conn: Connection, context: Context) -> Caller:
    """The only partner, with rows in every table that can hold any; all that people wrote is SECRET."""
    who = context.partners[0]
    admin = context.admin
    conn.execute(
        "update app.partners set business_name = %(s)s::text, email = %(e)s, phone = %(n)s,"
        " address = %(s)s::text, specialization = %(s)s::text where id = %(id)s",
        {"s": SECRET, "e": f"{SECRET.lower()}@mail.id", "n": NUMBER, "id": who.sub},
    )
    call(conn, admin, "adjust_points", partner_id=who.sub, points=60, reason=SECRET, idempotency_key=SECRET)
    headers = {"X-Forwarded-For": f"{SECRET}-ip", "User-Agent": SECRET}
    order = call_rpc(
        conn, who, "submit_order", headers, items=items(SKU_000=10), notes=SECRET, idempotency_key=SECRET
    ).body
    order = {"id": str(value(conn, "select id from app.orders")), "x": order}
    call(
        conn, routed_subdist(conn, order), "respond_order", order_id=order["id"], decision="PROGRESS",
        note=SECRET,
    )  # fmt: skip
    conn.execute("update app.orders set routed_at = now() - interval '30 hours', last_response_at = null")
    conn.execute("select jobs.sweep_service_level()")
    invoice = approve(conn, context, order)
    call(
        conn, admin, "record_payment", invoice_id=invoice["id"], amount=1000, payment_method=SECRET,
        reference_number=SECRET, notes=SECRET,
    )  # fmt: skip
    payment = {"invoice_number": invoice["invoice_number"], "amount": 10**9, "reference_number": SECRET}
    call(conn, context.erp, "erp_apply_payments", payments=[payment])
    pay(conn, context, invoice, invoice["amount"] - 1000, f"{SECRET}-2")
    vest_points(conn)
    for move in ("ship_order", "complete_order"):
        call(conn, admin, move, order_id=order["id"])
    back = [{"sku": "SKU-000", "quantity": 1}]
    call(conn, admin, "return_items", order_id=order["id"], items=back, reason=SECRET, idempotency_key=SECRET)
    due = value(conn, "select refund_due from app.invoices where id = %s", invoice["id"])
    call(
        conn, admin, "record_refund", invoice_id=invoice["id"], amount=due, reference_number=f"{SECRET}-3",
        reason=SECRET, idempotency_key=SECRET,
    )  # fmt: skip
    acting = shadow(conn, context.agents[0], who)
    assisted = call(conn, acting, "submit_order", items=items(SKU_001=2), notes=SECRET, idempotency_key="a")
    approve(conn, context, assisted)
    call(conn, admin, "reject_order", order_id=assisted["id"], reason=SECRET)
    call(conn, context.erp, "erp_ack_cancellation", order_id=assisted["id"], outcome="REFUSED", note=SECRET)
    call(conn, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key=SECRET)
    call(conn, who, "save_draft", items=items(SKU_001=1), notes=SECRET)
    call(conn, Caller("anon"), "login", email=f"{SECRET}@mail.id", password="wrong-password")
    value(conn, "select auth.open_session(%s, 'partner') is null", who.sub)
    sender = NUMBER.lstrip("+")
    profile = {"wa_id": sender, "profile": {"name": SECRET}}
    said = text_message(SECRET, sender) | {"timestamp": "1763884800"}
    receive(conn, webhook(value_of={"contacts": [profile], "messages": [said]}))
    conn.execute(
        "update app.messages set status = 'READ', provider_id = %(s)s || '-' || id, refused_id = %(s)s || id,"
        " error_code = %(s)s where recipient_id = %(id)s and template <> 'invoice_issued'",
        {"s": SECRET, "id": who.sub},
    )
    return who


@pytest.fixture
def superadmin(db: Connection) -> Caller:
    return Caller("superadmin", make_agent(db, None, role="SUPERADMIN").sub)


ONE = pytest.mark.context(partners=1)

SUMS = """
select jsonb_build_object(
  'orders', (select jsonb_agg(jsonb_build_array(id, status, grand_total, points_used) order by id)
    from app.orders),
  'lines', (select sum(line_total) from app.order_items),
  'invoices', (select jsonb_agg(jsonb_build_array(id, status, amount, amount_paid) order by id)
    from app.invoices),
  'payments', (select jsonb_agg(jsonb_build_array(id, invoice_id, amount, paid_at) order by id)
    from app.invoice_payments),
  'points', (select jsonb_agg(jsonb_build_array(id, type, points) order by id)
    from app.point_transactions),
  'balance', (select jsonb_agg(jsonb_build_array(id, point_balance, credit_used)) from app.partners),
  'redemptions', (select sum(points_spent) from app.redemptions),
  'events', (select count(*) from app.order_events),
  'escalations', (select count(*) from app.sla_escalation_logs),
  'shadow', (select count(*) from app.agent_sessions)
)
"""


@ONE
def test_no_known_text_of_an_erased_partner_is_left_in_any_table(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_with_a_history(db, context)
    call(db, context.admin, "delete_partner", partner_id=who.sub, reason=SECRET)
    filled = fill_every_text_column(db, str(who.sub))
    assert {"app.orders.notes", "app.order_events.note", "app.invoice_payments.reference_number"} <= filled
    assert len(found(db, *KNOWN)) > 50
    sums = value(db, SUMS)

    erased = call(db, superadmin, "erase_partner", partner_id=who.sub, reason="Permintaan 12/2026")

    assert (erased["partner_id"], erased["duplicate"]) == (who.sub, False)
    assert found(db, *KNOWN) == []
    assert value(db, SUMS) == sums
    assert broken_invariants(db) == {}
    kept = "select reason from app.partner_removals where kind = 'ERASED'"
    assert value(db, kept) == "Permintaan 12/2026"


EARLIER = "+6281377770002"


def partner_who_changed_their_contact(conn: Connection, context: Context) -> Caller:
    """The only partner, known under another number, address and name before; they write from both numbers."""
    who = context.partners[0]
    conn.execute(
        "update app.partners set phone = %s, email = 'dulu@mail.id', business_name = 'Salon Dulu'"
        " where id = %s",
        [EARLIER, who.sub],
    )
    call(conn, Caller("anon"), "login", email="dulu@mail.id", password="wrong-password")
    receive(conn, webhook(text_message("Halo satu", EARLIER.lstrip("+"), "wamid.dulu-1")))
    call(conn, context.admin, "adjust_points", partner_id=who.sub, points=60, reason="x", idempotency_key="x")
    call(conn, who, "redeem_reward", reward_id=context.rewards[0], idempotency_key="k")
    conn.execute(
        "update app.partners set phone = %s, email = 'baru@mail.id', business_name = 'Salon Baru'"
        " where id = %s",
        [NUMBER, who.sub],
    )
    receive(conn, webhook(text_message("Halo dua", EARLIER.lstrip("+"), "wamid.dulu-2")))
    return who


@ONE
def test_nothing_is_left_of_what_a_partner_was_known_by_earlier(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_who_changed_their_contact(db, context)
    known = (EARLIER.lstrip("+")[2:], "dulu@mail.id", "Salon Dulu", "Halo satu", "Halo dua")
    left = "\n".join(found(db, *known)).lower()
    assert [text for text in known if text.lower() not in left] == []
    call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    assert found(db, *known, NUMBER.lstrip("+")[2:], "baru@mail.id", "Salon Baru") == []


@ONE
def test_what_the_next_owner_of_an_earlier_number_wrote_stays(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_who_changed_their_contact(db, context)
    db.execute(
        "insert into app.partners (email, phone, business_name) values ('lain@mail.id', %s, 'Salon Lain')",
        [EARLIER],
    )
    receive(db, webhook(text_message("Halo Lain", EARLIER.lstrip("+"), "wamid.lain")))
    for table, column, text in (
        ("inbound_messages", "received_at", "payload"),
        ("messages", "created_at", "variables"),
    ):
        db.execute(
            f"update app.{table} set {column} = now() + interval '1 minute'"
            f" where {text}::text like '%Halo Lain%'".encode()
        )
    call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    left = found(db, "Halo satu", "Halo dua", "Halo Lain")
    assert {row.split(":")[0] for row in left} == {"app.inbound_messages", "app.messages"}
    assert all("Halo Lain" in row for row in left)
    assert value(db, "select count(*) from app.conversations where number = %s", EARLIER) == 1


@ONE
def test_former_contacts_are_purged_when_nothing_can_be_stored_under_them(
    db: Connection, context: Context
) -> None:
    partner_who_changed_their_contact(db, context)
    kept = "select count(*) from app.partner_former_contacts"
    assert value(db, kept) == 2
    db.execute("update app.partner_former_contacts set replaced_at = replaced_at - interval '399 days'")
    assert value(db, "select app.purge_former_contacts(10)") == 0
    db.execute("update app.partner_former_contacts set replaced_at = replaced_at - interval '2 days'")
    assert [value(db, "select app.purge_former_contacts(1)") for _ in range(3)] == [1, 1, 0]
    assert value(db, kept) == 0


@ONE
def test_trail_keeps_what_happened_without_personal_data(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_with_a_history(db, context)
    rows = value(db, "select count(*) from app.audit_buffer")
    assert rows > 20
    call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    assert value(db, "select count(*) from app.audit_buffer") == 0
    clear = db.execute(
        "select l.target_type, k.key, v.value ->> k.key from app.audit_logs as l"
        " cross join lateral (values (l.old_value), (l.new_value)) as v (value)"
        " cross join lateral unnest(app.personal_columns(l.target_type)) as k (key)"
        " where l.target_type in ('partners', 'orders', 'invoices', 'invoice_payments', 'redemptions',"
        " 'point_transactions') and v.value ->> k.key !~ '^[*]{3}([0-9a-f-]{36})?$'"
    ).fetchall()
    assert clear == []
    assert value(db, "select count(ip_address) from app.audit_logs where actor_id = %s", who.sub) == 0
    assert value(db, "select count(*) from app.audit_logs where actor_id = %s", who.sub) > 0
    (by,) = db.execute(
        "select actor_id::text from app.audit_logs"
        " where target_id = %s and new_value ->> 'is_active' = 'false'",
        [who.sub],
    ).fetchall()
    assert by == (superadmin.sub,)


@ONE
def test_erased_partner_is_anonymous_everywhere_and_their_address_can_be_used_again(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_with_a_history(db, context)
    call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    row = db.execute(
        "select business_name, phone, address, specialization, is_active, deleted_at is not null"
        " from app.partners where id = %s",
        [who.sub],
    ).fetchone()
    assert row == ("***", None, None, None, False, True)
    assert value(db, "select count(*) from auth.sessions where subject_id = %s", who.sub) == 0
    db.execute(
        "insert into app.partners (email, phone, password_hash, business_name) values (%s, %s, 'x', 'Baru')",
        [f"{SECRET.lower()}@mail.id", NUMBER],
    )


@ONE
def test_repeated_erasure_changes_nothing(db: Connection, context: Context, superadmin: Caller) -> None:
    who = partner_with_a_history(db, context)
    first = call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    again = call(db, superadmin, "erase_partner", partner_id=who.sub, reason="y")
    assert again == first | {"duplicate": True}
    kinds = "select array_agg(kind || ' ' || reason order by kind) from app.partner_removals"
    assert value(db, kinds) == ["DELETED ***", "ERASED x"]


@ONE
def test_data_of_other_partners_stays(db: Connection, context: Context, superadmin: Caller) -> None:
    who = partner_with_a_history(db, context)
    other = Caller(
        "partner",
        str(
            value(
                db,
                "insert into app.partners (email, password_hash, business_name, phone,"
                " credit_limit, region_id) values"
                " ('lain@mail.id', 'x', 'Salon Lain', '+628137777000', 9000000, %s) returning id",
                context.regions["bandung"],
            )
        ),
    )
    call(db, other, "submit_order", items=items(SKU_000=1), notes="Titip Lain", idempotency_key="Kunci-Lain")
    receive(db, webhook(text_message("Halo Lain", "628137777000", "wamid.lain")))
    call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    left = "\n".join(found(db, "Titip Lain", "Kunci-Lain", "Salon Lain", "Halo Lain"))
    for text in ("Titip Lain", "Kunci-Lain", "Salon Lain", "Halo Lain"):
        assert text in left


@ONE
def test_partner_who_is_not_settled_is_not_erased(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_with_a_history(db, context)
    call(db, who, "submit_order", items=items(SKU_000=1), idempotency_key="k")
    with refused(db, "PARTNER_NOT_SETTLED"):
        call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    assert len(found(db, *KNOWN)) > 10
    assert value(db, "select count(*) from app.partner_removals") == 0


@ONE
def test_deleted_partner_who_owes_money_again_is_not_erased(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_with_a_history(db, context)
    call(db, superadmin, "delete_partner", partner_id=who.sub, reason="x")
    smallest = "select id::text from app.invoice_payments where kind = 'PAYMENT' order by amount limit 1"
    call(db, superadmin, "reverse_payment", payment_id=value(db, smallest), reason="x")
    with refused(db, "PARTNER_NOT_SETTLED"):
        call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")


@ONE
def test_erasure_waits_for_a_webhook_of_theirs_to_be_processed(
    db: Connection, context: Context, superadmin: Caller
) -> None:
    who = partner_with_a_history(db, context)
    db.execute("update app.inbound_messages set processed_at = null")
    with refused(db, "PARTNER_NOT_SETTLED") as why:
        call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    assert why.hint == "Try again in a minute"
    db.execute("select app.process_inbox()")
    call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")


def test_only_superadmins_erase(db: Connection, context: Context) -> None:
    for who in (context.admin, context.agents[0], context.partners[0]):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), caller(db, who.role, who.sub):
            db.execute("select api.erase_partner(%s, 'x')", [context.partners[0].sub])


WAITING = """
select count(*) from pg_stat_activity
where wait_event_type = 'Lock' and datname = current_database()
"""

CHANGES = [
    "update app.order_events set note = '***'",
    "update app.invoice_payments set notes = null",
    "update app.point_transactions set description = '***'",
    "update app.audit_logs set ip_address = null",
    "update app.partner_removals set reason = '***'",
]


@ONE
@pytest.mark.parametrize("statement", CHANGES)
def test_no_other_transaction_empties_text_of_append_only_rows(
    db: Connection, context: Context, statement: str
) -> None:
    who = partner_with_a_history(db, context)
    call(db, context.admin, "delete_partner", partner_id=who.sub, reason=SECRET)
    db.execute("select app.flush_audit_buffer()")
    for _ in range(2):
        with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction(), as_owner(db):
            db.execute(statement.encode())
        # an erasure of another transaction does not help
        with as_owner(db):
            db.execute(
                "insert into app.partner_removals (partner_id, kind, reason, transaction_id)"
                " values (%s, 'ERASED', 'x', '1') on conflict do nothing",
                [who.sub],
            )


@ONE
@pytest.mark.parametrize(
    "statement",
    [
        "update app.order_events set note = 'other'",
        "update app.order_events set note = '***', actor_role = 'x'",
        "update app.invoice_payments set amount = amount + 1",
        "update app.point_transactions set points = points + 1",
        "update app.audit_logs set action = 'DELETE'",
        "update app.audit_logs set new_value = '{}'",
        "update app.audit_logs set ip_address = '1.2.3.4'",
        "delete from app.order_events",
        "delete from app.audit_logs",
        "truncate app.audit_logs",
        "delete from app.partner_removals",
    ],
)
def test_an_erasure_changes_nothing_else_of_append_only_rows(
    db: Connection, context: Context, superadmin: Caller, statement: str
) -> None:
    who = partner_with_a_history(db, context)
    call(db, superadmin, "erase_partner", partner_id=who.sub, reason="x")
    assert value(db, "select app.is_erasing(%s)", who.sub), "the transaction still is one that erases"
    with pytest.raises(psycopg.Error, match="APPEND_ONLY"), db.transaction(), as_owner(db):
        db.execute(statement.encode())


def test_order_that_is_submitted_at_the_same_time_is_refused_or_prevents_the_deletion(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as other:
        context = make_context(conn, partners=1)
        who = context.partners[0]
        other.execute("select 1")  # begins the transaction that stays open
        order: Any = call(other, who, "submit_order", items=items(SKU_000=1), idempotency_key="k")
        assert order["status"] == "SUBMITTED"
        outcome: list[str] = []

        def delete() -> None:
            with psycopg.connect(url, autocommit=True) as own:
                outcome.append(refusal(own, context.admin, "delete_partner", partner_id=who.sub, reason="x"))

        thread = threading.Thread(target=delete)
        thread.start()
        wait_until(lambda: value(conn, WAITING) == 1)
        other.commit()
        thread.join(30)
        assert outcome == ["PARTNER_NOT_SETTLED"]
