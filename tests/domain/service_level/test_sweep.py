"""Late orders are escalated at the configured hours, once for each clock."""

import json
import threading
import time
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.conftest import Clone
from tests.support.context import (
    Caller,
    Connection,
    Context,
    broken_invariants,
    call,
    items,
    make_context,
    other_subdist,
    refusal,
    routed_subdist,
    submit,
    value,
)
from tests.support.service_level import (
    OFFICE_HOURS,
    age_turn,
    escalation_log,
    escalations,
    set_calendar,
    sla_due_at,
    sla_flags,
    sla_messages,
    start_clock,
    sweep,
    waiting_order,
)
from tests.support.waiting import wait_until

MINUTE = 1 / 60


@pytest.mark.parametrize(
    ("zone", "suffix"), [("Asia/Jakarta", "WIB"), ("Asia/Makassar", "WITA"), ("Asia/Jayapura", "WIT")]
)
def test_reminder_gives_times_in_the_zone_of_its_reader(
    db: Connection, context: Context, zone: str, suffix: str
) -> None:
    db.execute("update app.regions set time_zone = %s where id = %s", [zone, context.regions["bandung"]])
    waiting_order(db, context, 25)
    sweep(db)
    since = "select to_char(awaiting_since at time zone %s, 'DD-MM-YYYY HH24:MI ') || %s from app.orders"
    here, headquarters = value(db, since, zone, suffix), value(db, since, "Asia/Jakarta", "WIB")
    found = db.execute(
        "select distinct coalesce(a.role::text, 'SUBDIST'), m.variables ->> 'waiting_since'"
        " from app.messages m left join app.agents a on a.id = m.recipient_id where m.template like 'sla%%'"
    ).fetchall()
    assert dict(found) == {"SUBDIST": here, "SALESMAN": here, "ADMIN": headquarters}


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (17.99, {}),
        (18, {"REMINDER": 1}),
        (20.99, {"REMINDER": 1}),
        (21, {"REMINDER": 1, "MANAGER": 2}),
        (23.99, {"REMINDER": 1, "MANAGER": 2}),
        (24, {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}),
    ],
)
def test_each_level_is_due_at_its_hour(
    db: Connection, context: Context, hours: float, expected: dict[str, int]
) -> None:
    late = waiting_order(db, context, hours)
    sweep(db)
    assert escalations(db, late) == expected
    templates = {"REMINDER": "sla_reminder", "MANAGER": "sla_manager", "HQ_INTERVENTION": "sla_escalation"}
    assert sla_messages(db, late) == {templates[level]: count for level, count in expected.items()}
    assert sla_flags(db, late) == tuple(level in expected for level in templates)
    assert broken_invariants(db) == {}


def test_each_level_escalates_once_for_a_clock(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 19)
    assert [sweep(db) for _ in range(3)] == [1, 0, 0]
    assert escalations(db, late) == {"REMINDER": 1}
    db.execute("update app.orders set sla_reminder_sent = false where id = %s", [late["id"]])
    sweep(db)  # the log decides, not the flag
    assert escalations(db, late) == {"REMINDER": 1}
    assert sla_messages(db, late) == {"sla_reminder": 1}
    assert sla_flags(db, late) == (True, False, False)


@pytest.mark.parametrize("downtime", [1, 72])
def test_after_downtime_all_levels_follow_in_order_with_their_due_times(
    db: Connection, context: Context, downtime: float
) -> None:
    late = waiting_order(db, context, 24 + downtime)
    sweep(db)
    assert escalation_log(db, late) == [
        ("REMINDER", "SUBDIST", 18.0),
        ("MANAGER", "AGENT", 21.0),
        ("MANAGER", "AGENT", 21.0),
        ("HQ_INTERVENTION", "ADMIN", 24.0),
        ("HQ_INTERVENTION", "ADMIN", 24.0),
    ]
    [(least, most)] = db.execute(
        "select extract(epoch from min(triggered_at - due_at)) / 3600,"
        " extract(epoch from max(triggered_at - due_at)) / 3600 from app.sla_escalation_logs"
    ).fetchall()
    assert (float(least), float(most)) == (downtime, downtime + 6)
    sent = db.execute(
        "select template from app.messages where order_id = %s and template like 'sla%%' order by position",
        [late["id"]],
    ).fetchall()
    assert [row[0] for row in sent] == ["sla_reminder", *["sla_manager"] * 2, *["sla_escalation"] * 2]


def test_level_that_is_not_due_is_not_escalated_with_an_earlier_one(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 18.5)
    sweep(db)
    db.execute("update app.orders set routed_at = routed_at where id = %s", [late["id"]])
    assert sla_flags(db, late) == (True, False, False)
    assert escalations(db, late) == {"REMINDER": 1}


def test_response_resets_the_clock_and_withdraws_unsent_messages(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 25)
    sweep(db)
    held = value(
        db,
        "update app.messages set status = 'CLAIMED', lease_until = now() + interval '1 minute'"
        " where template = 'sla_reminder' returning id",
    )
    call(db, routed_subdist(db, late), "respond_order", order_id=late["id"], decision="PROGRESS")
    assert sla_flags(db, late) == (False, False, False)
    assert sla_messages(db, late) == {}
    assert sla_messages(db, late, "WITHDRAWN") == {"sla_manager": 2, "sla_escalation": 2}
    # A claimed message may have been sent already; if not, it is not repeated.
    db.execute("select app.message_failed(%s, '131000', true)", [held])
    db.execute("update app.messages set next_attempt_at = now() where id = %s", [held])
    db.execute("select app.reap_messages()")
    assert value(db, "select status from app.messages where id = %s", held) == "WITHDRAWN"
    assert sweep(db) == 0


def test_new_clock_after_a_response_is_escalated_again(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 25)
    sweep(db)
    db.execute("update app.orders set last_response_at = now() - interval '18 hours' where true")
    sweep(db)
    assert escalations(db, late) == {"REMINDER": 2, "MANAGER": 2, "HQ_INTERVENTION": 2}


def test_clock_stops_when_the_order_leaves_the_sub_distributor(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 19)
    sweep(db)
    call(db, context.partners[0], "cancel_order", order_id=late["id"], reason="salah")
    assert sla_messages(db, late) == {}
    done = waiting_order(db, context)
    call(db, routed_subdist(db, done), "respond_order", order_id=done["id"], decision="ACCEPT")
    call(db, context.admin, "approve_order", order_id=done["id"])
    call(db, context.admin, "ship_order", order_id=done["id"])
    db.execute("update app.orders set last_response_at = now() - interval '90 hours'")
    assert sweep(db) == 0


def test_clock_of_headquarters_runs_after_acceptance(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 17)
    call(db, routed_subdist(db, late), "respond_order", order_id=late["id"], decision="ACCEPT")
    age_turn(db, late, 3.99)
    assert sweep(db) == 0
    age_turn(db, late, 4)
    assert sweep(db) == 1
    assert escalation_log(db, late) == [("REMINDER", "ADMIN", 4.0)] * 2
    assert sla_messages(db, late) == {"sla_hq_reminder": 2}
    assert sla_flags(db, late) == (True, False, False)
    assert broken_invariants(db) == {}


def test_rerouting_starts_a_new_clock_for_the_new_sub_distributor(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 25)
    sweep(db)
    other = other_subdist(db, context, late)
    call(db, context.admin, "reroute_order", order_id=late["id"], subdist_id=other.sub)
    assert (sla_flags(db, late), sla_messages(db, late)) == ((False, False, False), {})
    assert sweep(db) == 0
    start_clock(db, late, 18)
    sweep(db)
    row = db.execute(
        "select notified_to::text from app.sla_escalation_logs order by clock_started_at desc, due_at desc"
        " limit 1"
    )
    assert row.fetchall() == [(other.sub,)]


def test_orders_of_a_suspended_sub_distributor_are_rerouted_with_a_new_clock(
    db: Connection, context: Context
) -> None:
    late = waiting_order(db, context, 23)
    sweep(db)
    before = routed_subdist(db, late)
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [before.sub])
    assert routed_subdist(db, late).sub != before.sub
    assert sla_flags(db, late) == (False, False, False)
    assert sweep(db) == 0


def test_changed_hours_apply_to_open_orders_at_the_next_sweep(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 5)
    assert sweep(db) == 0
    db.execute("select app.set_config_value('sla.reminder_hours', '4')")
    sweep(db)
    assert escalations(db, late) == {"REMINDER": 1}
    [(_, _, due)] = escalation_log(db, late)
    assert due == 4.0


def test_hours_out_of_order_are_refused(db: Connection, context: Context) -> None:
    admin = Caller("superadmin", context.admin.sub)
    db.execute("update app.agents set role = 'SUPERADMIN' where id = %s", [admin.sub])
    assert (
        refusal(db, admin, "set_config", config_key="sla.manager_hours", config_value=30)
        == "INVALID_CONFIG_VALUE"
    )


def test_admins_are_notified_where_no_agent_serves_the_region(db: Connection, context: Context) -> None:
    db.execute("update app.agents set is_active = false where role = 'SALESMAN'")
    late = waiting_order(db, context, 22)
    sweep(db)
    assert escalation_log(db, late) == [
        ("REMINDER", "SUBDIST", 18.0),
        ("MANAGER", "ADMIN", 21.0),
        ("MANAGER", "ADMIN", 21.0),
    ]
    assert sla_flags(db, late) == (True, True, False)


def test_level_without_a_recipient_waits_for_one(db: Connection, context: Context) -> None:
    db.execute("update app.agents set is_active = false")
    late = waiting_order(db, context, 25)
    sweep(db)
    assert sla_flags(db, late) == (True, False, False)
    db.execute("update app.agents set is_active = true where id = %s", [context.admin.sub])
    sweep(db)
    assert escalations(db, late) == {"REMINDER": 1, "MANAGER": 1, "HQ_INTERVENTION": 1}


def routing_message(conn: Connection, late: dict[str, Any]) -> str:
    return str(
        value(
            conn,
            "select id from app.messages where order_id = %s and template = 'order_routed'"
            " order by position desc limit 1",
            late["id"],
        )
    )


def test_failed_routing_message_escalates_at_once_with_its_reason(db: Connection, context: Context) -> None:
    late = waiting_order(db, context)
    message = routing_message(db, late)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    db.execute("select app.message_status('wamid.1', 'failed', now(), null, '131026')")
    rows = db.execute(
        "select escalation_level::text, reason, due_at = now() from app.sla_escalation_logs"
    ).fetchall()
    assert rows == [("HQ_INTERVENTION", "Pesan WhatsApp ke sub-distributor gagal: 131026", True)] * 2
    assert sla_messages(db, late) == {"sla_escalation": 2}
    text = value(
        db,
        "select body from app.claim_messages(100, 60) where template = 'sla_escalation' limit 1",
    )
    assert "gagal: 131026" in text
    start_clock(db, late, 0)
    assert sweep(db) == 0


def test_failed_routing_message_does_not_replace_the_other_levels(db: Connection, context: Context) -> None:
    """Headquarters is notified early; the sub-distributor and the agents still get their levels."""
    late = waiting_order(db, context)
    db.execute("select app.message_failed(%s, '131026', false)", [routing_message(db, late)])
    assert sla_flags(db, late) == (False, False, True)
    db.execute(
        "update app.sla_escalation_logs set clock_started_at = clock_started_at - interval '25 h',"
        " due_at = due_at - interval '25 h', triggered_at = triggered_at - interval '25 h'"
    )
    db.execute("set local session_replication_role = replica")
    db.execute(
        "update app.orders set routed_at = routed_at - interval '25 h',"
        " awaiting_since = awaiting_since - interval '25 h' where id = %s",
        [late["id"]],
    )
    db.execute("set local session_replication_role = origin")
    assert value(db, "select count(*) from app.consistency_escalations") == 2
    assert sweep(db) == 1
    assert escalations(db, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}
    assert sla_flags(db, late) == (True, True, True)
    assert sweep(db) == 0
    assert broken_invariants(db) == {}


def test_failed_message_of_a_former_route_or_answered_order_escalates_nothing(
    db: Connection, context: Context
) -> None:
    moved = waiting_order(db, context)
    message = routing_message(db, moved)
    other = other_subdist(db, context, moved)
    call(db, context.admin, "reroute_order", order_id=moved["id"], subdist_id=other.sub)
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    answered = waiting_order(db, context)
    message = routing_message(db, answered)
    db.execute("update app.messages set created_at = now() - interval '1 hour' where id = %s", [message])
    call(db, routed_subdist(db, answered), "respond_order", order_id=answered["id"], decision="ACCEPT")
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    assert value(db, "select count(*) from app.sla_escalation_logs") == 0


def test_escalation_is_acknowledged_once(db: Connection, context: Context) -> None:
    late = waiting_order(db, context, 25)
    sweep(db)
    log = str(
        value(db, "select id from app.sla_escalation_logs where escalation_level = 'HQ_INTERVENTION' limit 1")
    )
    call(db, context.admin, "acknowledge_escalation", escalation_id=log)
    row = db.execute(
        "select acknowledged_by::text, acknowledged_at is not null from app.sla_escalation_logs"
        " where id = %s",
        [log],
    ).fetchone()
    assert row == (context.admin.sub, True)
    again = refusal(db, context.admin2, "acknowledge_escalation", escalation_id=log)
    assert again == "ALREADY_ACKNOWLEDGED"
    assert refusal(db, context.admin, "acknowledge_escalation", escalation_id=late["id"]) == "NOT_FOUND"


def insert_late_orders(conn: Connection, context: Context, count: int) -> None:
    """Insert so many open orders, routed 30 hours ago, without submitting each."""
    submit(conn, context.partners[0], items(SKU_000=1))
    columns = value(
        conn,
        "select string_agg(quote_ident(column_name), ',') from information_schema.columns"
        " where table_schema = 'app' and table_name = 'orders' and is_generated = 'NEVER' and column_name"
        " not in ('id', 'order_number', 'idempotency_key', 'request_hash', 'routed_at', 'awaiting_since')",
    )
    with conn.transaction():
        conn.execute("set local session_replication_role = replica")
        conn.execute(
            "update app.orders set routed_at = now() - interval '30 hours',"
            " awaiting_since = now() - interval '30 hours'"
        )
        conn.execute(
            f"insert into app.orders ({columns}, routed_at, awaiting_since)"
            f" select {columns}, routed_at, awaiting_since from app.orders cross join generate_series(2, %s)",
            [count],
        )
        conn.execute("delete from app.messages")
    conn.execute("analyze app.orders")


def test_ten_thousand_late_orders_are_escalated_once_within_a_minute(clone: Clone) -> None:
    """After 30 hours without a sweep, each level gets its rows and messages exactly once."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_context(conn)
        insert_late_orders(conn, context, 10_000)
        began = time.monotonic()
        assert sweep(conn) == 10_000
        took = time.monotonic() - began
        expected = [("HQ_INTERVENTION", 20_000), ("MANAGER", 20_000), ("REMINDER", 10_000)]
        assert (
            conn.execute(
                "select escalation_level::text, count(distinct (order_id, notified_to))"
                " from app.sla_escalation_logs group by 1 having count(*) > 0 order by 1"
            ).fetchall()
            == expected
        )
        assert value(conn, "select count(*) from app.sla_escalation_logs") == 50_000
        assert conn.execute(
            "select template, count(distinct (order_id, recipient_id)), count(*) from app.messages"
            " group by 1 order by 1"
        ).fetchall() == [
            ("sla_escalation", 20_000, 20_000),
            ("sla_manager", 20_000, 20_000),
            ("sla_reminder", 10_000, 10_000),
        ]
        assert sweep(conn) == 0
        assert took < 60  # generous for a busy machine; alone it takes 3 s


_LATE = (
    "explain (analyze, buffers, format json) select o.id, o.awaiting_since from app.orders as o"
    " where o.awaiting = 'SUBDIST' and o.awaiting_since <= now() - interval '18 hours'"
    " and (not o.sla_reminder_sent"
    " or (not o.sla_manager_notified and o.awaiting_since <= now() - interval '21 hours')"
    " or (not o.sla_escalated and o.awaiting_since <= now() - interval '24 hours'))"
    " order by o.awaiting_since limit 20000"
)
"""The half of app.late_orders that concerns sub-distributors."""


def late_orders_scan(conn: Connection) -> tuple[str, int]:
    """The plan node that finds late orders, and the number of pages that it reads."""
    plan = value(conn, _LATE)[0]["Plan"]
    found = json.dumps(plan)
    assert "orders_awaiting_idx" in found
    node = plan
    while "Plans" in node:
        node = node["Plans"][0]
    return node["Node Type"], plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.mark.planner
def test_sweep_reads_one_index_and_no_closed_orders(clone: Clone) -> None:
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_context(conn)
        insert_late_orders(conn, context, 300)
        conn.execute("vacuum analyze app.orders")
        kind, before = late_orders_scan(conn)
        assert kind == "Index Only Scan"
        source = "select prosrc from pg_proc where oid = 'app.late_orders'::regproc"
        condition = _LATE.split("select", 1)[1].split("interval", 1)[0]
        assert "".join(condition.split()) in "".join(str(value(conn, source)).split()).replace(
            "p_reminder*", ""
        )
        columns = (
            "order_number, partner_id, submitted_at, subtotal, grand_total, routed_to_subdist_id, routed_at"
        )
        with conn.transaction():
            conn.execute("set local session_replication_role = replica")
            conn.execute(
                f"insert into app.orders (status, awaiting, {columns})"
                " select 'COMPLETED', 'NONE', 'C-' || n, partner_id, submitted_at, subtotal, grand_total,"
                " routed_to_subdist_id, routed_at"
                " from (select * from app.orders limit 1) as o, generate_series(1, 20000) as n"
            )

        def reads_no_closed_orders() -> bool:
            # VACUUM passes over a page that another process has pinned, and the scan then reads that page.
            conn.execute("vacuum analyze app.orders")
            kind, after = late_orders_scan(conn)
            assert kind == "Index Only Scan"
            return after <= before + 5  # reading the closed orders takes at least 300 pages

        wait_until(reads_no_closed_orders, 5)


def test_sweep_with_a_calendar_of_holidays_only_ends_within_seconds(clone: Clone) -> None:
    """Open on Sundays only, and every Sunday of ten years is a holiday: the wall clock decides."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_context(conn)
        insert_late_orders(conn, context, 1000)
        sundays = value(
            conn,
            "select jsonb_agg(to_char(d, 'YYYY-MM-DD')) from generate_series(current_date - 700,"
            " current_date + 3700, interval '1 day') as d where extract(isodow from d) = 7",
        )
        calendar = {"days": [7], "from": "08:00", "until": "17:00", "holidays": sundays}
        set_calendar(conn, calendar)
        began = time.monotonic()
        assert sweep(conn) == 1000
        took = time.monotonic() - began
        assert took < 30  # generous for a busy machine


def test_concurrent_sweeps_escalate_each_order_once(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn)
        insert_late_orders(conn, context, 500)
        swept: list[int] = []
        barrier = threading.Barrier(3)

        def run() -> None:
            with psycopg.connect(url, autocommit=True) as own:
                barrier.wait()
                swept.append(sweep(own))

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(swept) == 500
        assert value(conn, "select count(*) from app.sla_escalation_logs") == 2500
        assert value(conn, "select count(*) from app.messages") == 2500


def test_sweep_skips_an_order_that_is_being_answered(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as other:
        context = make_context(conn)
        late = waiting_order(conn, context, 25)
        who = routed_subdist(conn, late)
        call(other, who, "respond_order", order_id=late["id"], decision="ACCEPT")
        began = time.monotonic()
        assert sweep(conn) == 0
        assert time.monotonic() - began < 5  # the sweep did not wait
        other.commit()
        assert sweep(conn) == 0


@pytest.mark.regression("grafana/oncall#1206")
def test_clock_runs_again_after_a_response(db: Connection, context: Context) -> None:
    """A paused escalation was never resumed; here a response restarts the clock."""
    late = waiting_order(db, context, 19)
    sweep(db)
    call(db, routed_subdist(db, late), "respond_order", order_id=late["id"], decision="PROGRESS")
    assert sla_flags(db, late) == (False, False, False)
    assert sweep(db) == 0
    db.execute("update app.orders set last_response_at = now() - interval '18 hours'")
    sweep(db)
    assert escalations(db, late) == {"REMINDER": 2}


@pytest.mark.regression("grafana/oncall#1206")
def test_clock_starts_when_an_unrouted_order_is_routed(db: Connection, context: Context) -> None:
    """The same failure by another way: without a sub-distributor the escalation is paused."""
    late = waiting_order(db, context, 23)
    for subdist in context.subdists:
        db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [subdist.sub])
    assert sweep(db) == 0
    first = context.subdists[0]
    db.execute("update app.sub_distributors set status = 'ACTIVE' where id = %s", [first.sub])
    call(db, context.admin, "reroute_order", order_id=late["id"], subdist_id=first.sub)
    start_clock(db, late, 18)
    sweep(db)
    assert escalations(db, late) == {"REMINDER": 1}


def test_scheduled_job_uses_the_configured_hours(db: Connection, context: Context) -> None:
    """The scheduled command escalates by the configured hours; stored hours without a job have no effect."""
    command = value(
        db, "select command from jobs.schedule where job = 'sla-sweep' and schedule = '* * * * *'"
    )
    for level, hours in (("approval", 1), ("reminder", 1), ("manager", 2), ("escalation", 3)):
        db.execute("select app.set_config_value(%s, %s::jsonb)", [f"sla.{level}_hours", str(hours)])
    late = waiting_order(db, context, 3)
    db.execute(command)
    assert escalations(db, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}


@pytest.mark.regression("chatwoot/chatwoot#10178")
@pytest.mark.regression("chatwoot/chatwoot#15024")
@pytest.mark.parametrize("decision", ["ACCEPT", "DECLINE"])
def test_clock_stops_after_the_answer(db: Connection, context: Context, decision: str) -> None:
    """The clock ran on after the answer, and queued messages were still sent."""
    late = waiting_order(db, context, 21)
    sweep(db)
    call(db, routed_subdist(db, late), "respond_order", order_id=late["id"], decision=decision)
    assert sla_flags(db, late) == (False, False, False)
    assert sla_messages(db, late) == {}
    assert sweep(db) == 0
    if decision == "ACCEPT":
        call(db, context.admin, "approve_order", order_id=late["id"])
        db.execute(
            "update app.orders set routed_at = now() - interval '9 days',"
            " last_response_at = now() - interval '8 days'"
        )
    assert sweep(db) == 0
    assert escalations(db, late) == {"REMINDER": 1, "MANAGER": 2}


@pytest.mark.regression("zammad/zammad#2497")
def test_calendar_that_is_never_open_does_not_loop(db: Connection, context: Context) -> None:
    """A calendar without working time caused an endless loop."""
    db.execute("set local statement_timeout = '10s'")
    thursdays = [f"{datetime(2026, 1, 1) + timedelta(days=7 * n):%Y-%m-%d}" for n in range(600)]
    closed = OFFICE_HOURS | {"days": [4], "holidays": thursdays}
    start = datetime(2026, 11, 23, 8, 0, tzinfo=ZoneInfo("Asia/Jakarta"))
    assert sla_due_at(db, start, 18, closed) == start + timedelta(hours=18)
    late = waiting_order(db, context, 30)
    set_calendar(db, closed)
    assert sweep(db) == 1
    assert escalations(db, late)
