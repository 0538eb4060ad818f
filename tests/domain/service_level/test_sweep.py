"""An order that lies is noticed at the promised hour, every time, once."""

import json
import threading
import time
from typing import Any

import psycopg
import pytest

from tests.conftest import Clone
from tests.domain.service_level.conftest import flags, levels, logged, messages, order, started, sweep
from tests.support.context import (
    Connection,
    Context,
    broken_invariants,
    call,
    items,
    make_context,
    refusal,
    serving,
    submit,
    value,
)

MINUTE = 1 / 60


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
def test_each_level_fires_at_its_hour_and_not_before(
    db: Connection, context: Context, hours: float, expected: dict[str, int]
) -> None:
    late = order(db, context, hours)
    sweep(db)
    assert levels(db, late) == expected
    templates = {"REMINDER": "sla_reminder", "MANAGER": "sla_manager", "HQ_INTERVENTION": "sla_escalation"}
    assert messages(db, late) == {templates[level]: count for level, count in expected.items()}
    assert flags(db, late) == tuple(level in expected for level in templates)
    assert broken_invariants(db) == {}


def test_a_level_fires_once_however_often_it_is_looked_at(db: Connection, context: Context) -> None:
    late = order(db, context, 19)
    assert [sweep(db) for _ in range(3)] == [1, 0, 0]
    assert levels(db, late) == {"REMINDER": 1}
    db.execute("update app.orders set sla_reminder_sent = false where id = %s", [late["id"]])
    sweep(db)  # even where somebody meddles with the flag: the log is what counts
    assert levels(db, late) == {"REMINDER": 1}
    assert messages(db, late) == {"sla_reminder": 1}
    assert flags(db, late) == (True, False, False)


@pytest.mark.parametrize("downtime", [1, 72])
def test_after_downtime_all_levels_follow_in_order_with_the_time_they_were_due(
    db: Connection, context: Context, downtime: float
) -> None:
    late = order(db, context, 24 + downtime)
    sweep(db)
    assert logged(db, late) == [
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


def test_a_sweep_in_the_middle_of_the_night_catches_up_by_and_by(db: Connection, context: Context) -> None:
    late = order(db, context, 18.5)
    sweep(db)
    db.execute("update app.orders set routed_at = routed_at where id = %s", [late["id"]])
    assert flags(db, late) == (True, False, False)
    assert levels(db, late) == {"REMINDER": 1}


def test_a_response_resets_clock_and_flags_and_withdraws_what_was_not_yet_sent(
    db: Connection, context: Context
) -> None:
    late = order(db, context, 25)
    sweep(db)
    held = value(
        db,
        "update app.messages set status = 'CLAIMED', lease_until = now() + interval '1 minute'"
        " where template = 'sla_reminder' returning id",
    )
    call(db, serving(db, late), "respond_order", order_id=late["id"], decision="PROGRESS")
    assert flags(db, late) == (False, False, False)
    assert messages(db, late) == {}
    assert messages(db, late, "WITHDRAWN") == {"sla_manager": 2, "sla_escalation": 2}
    # What a messenger holds may be gone already; if it is not, it is not tried again.
    db.execute("select app.message_failed(%s, '131000', true)", [held])
    db.execute("update app.messages set next_attempt_at = now() where id = %s", [held])
    db.execute("select app.reap_messages()")
    assert value(db, "select status from app.messages where id = %s", held) == "WITHDRAWN"
    assert sweep(db) == 0


def test_after_a_response_the_next_clock_is_escalated_again(db: Connection, context: Context) -> None:
    late = order(db, context, 25)
    sweep(db)
    db.execute("update app.orders set last_response_at = now() - interval '18 hours' where true")
    sweep(db)
    assert levels(db, late) == {"REMINDER": 2, "MANAGER": 2, "HQ_INTERVENTION": 2}


def test_the_clock_stops_when_the_order_leaves_the_sub_distributor(db: Connection, context: Context) -> None:
    late = order(db, context, 19)
    sweep(db)
    call(db, context.partners[0], "cancel_order", order_id=late["id"], reason="salah")
    assert messages(db, late) == {}
    done = order(db, context)
    call(db, serving(db, done), "respond_order", order_id=done["id"], decision="ACCEPT")
    call(db, context.admin, "approve_order", order_id=done["id"])
    db.execute("update app.orders set last_response_at = now() - interval '90 hours'")
    assert sweep(db) == 0


def test_processing_keeps_the_clock_running(db: Connection, context: Context) -> None:
    late = order(db, context)
    call(db, serving(db, late), "respond_order", order_id=late["id"], decision="ACCEPT")
    db.execute(
        "update app.orders set routed_at = now() - interval '60 hours',"
        " last_response_at = now() - interval '20 hours'"
    )
    sweep(db)
    assert levels(db, late) == {"REMINDER": 1}


def test_rerouting_starts_the_clock_anew_for_the_other(db: Connection, context: Context) -> None:
    late = order(db, context, 25)
    sweep(db)
    before = serving(db, late)
    other = next(s for s in context.subdists if s.sub != before.sub)
    call(db, context.admin, "reroute_order", order_id=late["id"], subdist_id=other.sub)
    assert (flags(db, late), messages(db, late)) == ((False, False, False), {})
    assert sweep(db) == 0
    started(db, late, 18)
    sweep(db)
    row = db.execute(
        "select notified_to::text from app.sla_escalation_logs order by clock_started_at desc, due_at desc"
        " limit 1"
    )
    assert row.fetchall() == [(other.sub,)]


def test_a_suspended_sub_distributors_orders_go_to_the_next_with_a_fresh_clock(
    db: Connection, context: Context
) -> None:
    late = order(db, context, 23)
    sweep(db)
    before = serving(db, late)
    db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [before.sub])
    assert serving(db, late).sub != before.sub
    assert flags(db, late) == (False, False, False)
    assert sweep(db) == 0


def test_a_changed_config_holds_at_the_next_sweep_for_open_orders(db: Connection, context: Context) -> None:
    late = order(db, context, 5)
    assert sweep(db) == 0
    db.execute("select app.set_config_value('sla.reminder_hours', '4')")
    sweep(db)
    assert levels(db, late) == {"REMINDER": 1}
    [(_, _, due)] = logged(db, late)
    assert due == 4.0


def test_hours_that_do_not_rise_are_refused(db: Connection, context: Context) -> None:
    admin = context.admin.__class__("superadmin", context.admin.sub)
    db.execute("update app.agents set role = 'SUPERADMIN' where id = %s", [admin.sub])
    assert (
        refusal(db, admin, "set_config", config_key="sla.manager_hours", config_value=30)
        == "INVALID_CONFIG_VALUE"
    )


def test_where_no_agent_serves_the_region_headquarters_stands_in(db: Connection, context: Context) -> None:
    db.execute("update app.agents set is_active = false where role = 'SALESMAN'")
    late = order(db, context, 22)
    sweep(db)
    assert logged(db, late) == [
        ("REMINDER", "SUBDIST", 18.0),
        ("MANAGER", "ADMIN", 21.0),
        ("MANAGER", "ADMIN", 21.0),
    ]
    assert flags(db, late) == (True, True, False)


def test_nothing_is_ticked_off_while_there_is_nobody_to_tell(db: Connection, context: Context) -> None:
    db.execute("update app.agents set is_active = false")
    late = order(db, context, 25)
    sweep(db)
    assert flags(db, late) == (True, False, False)
    db.execute("update app.agents set is_active = true where id = %s", [context.admin.sub])
    sweep(db)
    assert levels(db, late) == {"REMINDER": 1, "MANAGER": 1, "HQ_INTERVENTION": 1}


def _routing_message(conn: Connection, late: dict[str, Any]) -> str:
    return str(
        value(
            conn,
            "select id from app.messages where order_id = %s and template = 'order_routed'"
            " order by position desc limit 1",
            late["id"],
        )
    )


def test_a_routing_message_that_is_lost_escalates_at_once_with_the_reason(
    db: Connection, context: Context
) -> None:
    late = order(db, context)
    message = _routing_message(db, late)
    db.execute("select app.message_sent(%s, 'wamid.1')", [message])
    db.execute("select app.message_status('wamid.1', 'failed', now(), null, '131026')")
    rows = db.execute(
        "select escalation_level::text, reason, due_at = now() from app.sla_escalation_logs"
    ).fetchall()
    assert rows == [("HQ_INTERVENTION", "Pesan WhatsApp ke sub-distributor gagal: 131026", True)] * 2
    assert messages(db, late) == {"sla_escalation": 2}
    text = value(
        db,
        "select body from app.claim_messages(100, 60) where template = 'sla_escalation' limit 1",
    )
    assert "gagal: 131026" in text
    started(db, late, 0)
    assert sweep(db) == 0


def test_after_a_lost_routing_message_the_other_levels_still_come(db: Connection, context: Context) -> None:
    """Headquarters knows early; the sub-distributor and the region's agents are owed theirs all the same."""
    late = order(db, context)
    db.execute("select app.message_failed(%s, '131026', false)", [_routing_message(db, late)])
    assert flags(db, late) == (False, False, True)
    db.execute(
        "update app.sla_escalation_logs set clock_started_at = clock_started_at - interval '25 h',"
        " due_at = due_at - interval '25 h', triggered_at = triggered_at - interval '25 h'"
    )
    db.execute("set local session_replication_role = replica")
    db.execute("update app.orders set routed_at = routed_at - interval '25 h' where id = %s", [late["id"]])
    db.execute("set local session_replication_role = origin")
    assert value(db, "select count(*) from app.consistency_escalations") == 2
    assert sweep(db) == 1
    assert levels(db, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}
    assert flags(db, late) == (True, True, True)
    assert sweep(db) == 0
    assert broken_invariants(db) == {}


def test_a_lost_message_of_a_former_route_or_an_answered_order_escalates_nothing(
    db: Connection, context: Context
) -> None:
    moved = order(db, context)
    message = _routing_message(db, moved)
    other = next(s for s in context.subdists if s.sub != serving(db, moved).sub)
    call(db, context.admin, "reroute_order", order_id=moved["id"], subdist_id=other.sub)
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    answered = order(db, context)
    message = _routing_message(db, answered)
    db.execute("update app.messages set created_at = now() - interval '1 hour' where id = %s", [message])
    call(db, serving(db, answered), "respond_order", order_id=answered["id"], decision="ACCEPT")
    db.execute("select app.message_failed(%s, '131026', false)", [message])
    assert value(db, "select count(*) from app.sla_escalation_logs") == 0


def test_acknowledging_is_recorded_once(db: Connection, context: Context) -> None:
    late = order(db, context, 25)
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


def _multiply(conn: Connection, context: Context, count: int) -> None:
    """So many open orders, routed 30 hours ago, without going through submission one by one."""
    submit(conn, context.partners[0], items(SKU_000=1))
    columns = value(
        conn,
        "select string_agg(quote_ident(column_name), ',') from information_schema.columns"
        " where table_schema = 'app' and table_name = 'orders' and is_generated = 'NEVER' and column_name"
        " not in ('id', 'order_number', 'idempotency_key', 'request_hash', 'routed_at')",
    )
    with conn.transaction():
        conn.execute("set local session_replication_role = replica")
        conn.execute("update app.orders set routed_at = now() - interval '30 hours'")
        conn.execute(
            f"insert into app.orders ({columns}, routed_at) select {columns}, now() - interval '30 hours'"
            " from app.orders cross join generate_series(2, %s)",
            [count],
        )
        conn.execute("delete from app.messages")
    conn.execute("analyze app.orders")


def test_ten_thousand_orders_asleep_for_thirty_hours(clone: Clone) -> None:
    """Exactly the owed rows and messages, none twice, in seconds; then the index has nothing left to read."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_context(conn)
        _multiply(conn, context, 10_000)
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
        assert took < 60  # a busy machine's allowance; 3 s alone


_LATE = (
    "explain (analyze, buffers, format json) select o.id from app.orders as o"
    " where o.status in ('SUBMITTED', 'PROCESSING') and o.routed_to_subdist_id is not null"
    " and not (o.sla_reminder_sent and o.sla_manager_notified and o.sla_escalated)"
    " and o.sla_clock_started_at <= now() - interval '18 hours'"
    " and (not o.sla_reminder_sent"
    " or (not o.sla_manager_notified and o.sla_clock_started_at <= now() - interval '21 hours')"
    " or (not o.sla_escalated and o.sla_clock_started_at <= now() - interval '24 hours'))"
    " order by o.sla_clock_started_at limit 20000"
)
"""What app.late_orders asks."""


def _pages(conn: Connection) -> tuple[str, int]:
    """How the sweep finds what is late, and how many pages that reads."""
    plan = value(conn, _LATE)[0]["Plan"]
    found = json.dumps(plan)
    assert "orders_sla_clock_idx" in found
    node = plan
    while "Plans" in node:
        node = node["Plans"][0]
    return node["Node Type"], plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.mark.planner
def test_the_sweep_reads_one_index_and_nothing_of_closed_orders(clone: Clone) -> None:
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_context(conn)
        _multiply(conn, context, 300)
        conn.execute("vacuum analyze app.orders")
        kind, before = _pages(conn)
        assert kind == "Index Only Scan"
        sla = "select prosrc from pg_proc where oid = 'app.late_orders'::regproc"
        asked = _LATE.split("select", 1)[1].split("interval", 1)[0]
        assert "".join(asked.split()) in "".join(str(value(conn, sla)).split()).replace("p_reminder*", "")
        columns = (
            "order_number, partner_id, submitted_at, subtotal, grand_total, routed_to_subdist_id, routed_at"
        )
        with conn.transaction():
            conn.execute("set local session_replication_role = replica")
            conn.execute(
                f"insert into app.orders (status, {columns})"
                " select 'COMPLETED', 'C-' || n, partner_id, submitted_at, subtotal, grand_total,"
                " routed_to_subdist_id, routed_at"
                " from (select * from app.orders limit 1) as o, generate_series(1, 20000) as n"
            )
        conn.execute("vacuum analyze app.orders")
        kind, after = _pages(conn)
        assert kind == "Index Only Scan"
        assert after <= before + 5  # 300 pages and more, were they read


def test_a_hostile_calendar_holds_the_sweep_up_only_so_long(clone: Clone) -> None:
    """Open on Sundays, and every Sunday a holiday, for ten years: by the wall clock then, and in seconds."""
    with psycopg.connect(clone(), autocommit=True) as conn:
        context = make_context(conn)
        _multiply(conn, context, 1000)
        sundays = value(
            conn,
            "select jsonb_agg(to_char(d, 'YYYY-MM-DD')) from generate_series(current_date - 700,"
            " current_date + 3700, interval '1 day') as d where extract(isodow from d) = 7",
        )
        calendar = {"days": [7], "from": "08:00", "until": "17:00", "holidays": sundays}
        conn.execute("select app.set_config_value('sla.calendar', %s::jsonb)", [json.dumps(calendar)])
        began = time.monotonic()
        assert sweep(conn) == 1000
        took = time.monotonic() - began
        print(f"1,000 orders under a hostile calendar: {took:.1f} s")
        assert took < 30  # a busy machine's allowance


def test_two_sweeps_at_once_do_the_work_once(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn:
        context = make_context(conn)
        _multiply(conn, context, 500)
        swept: list[int] = []
        gate = threading.Barrier(3)

        def run() -> None:
            with psycopg.connect(url, autocommit=True) as own:
                gate.wait()
                swept.append(sweep(own))

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(swept) == 500
        assert value(conn, "select count(*) from app.sla_escalation_logs") == 2500
        assert value(conn, "select count(*) from app.messages") == 2500


def test_a_sweep_passes_by_an_order_that_is_being_answered(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url, autocommit=True) as conn, psycopg.connect(url) as other:
        context = make_context(conn)
        late = order(conn, context, 25)
        who = serving(conn, late)
        call(other, who, "respond_order", order_id=late["id"], decision="ACCEPT")
        began = time.monotonic()
        assert sweep(conn) == 0
        assert time.monotonic() - began < 5  # it did not wait
        other.commit()
        assert sweep(conn) == 0
