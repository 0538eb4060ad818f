"""Reminders and escalations: what went wrong in other systems."""

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.domain.service_level.conftest import flags, levels, messages, order, started, sweep
from tests.support.context import Connection, Context, call, make_context, serving, value

OFFICE = {"days": [1, 2, 3, 4, 5], "from": "08:00", "until": "17:00", "holidays": ["2026-12-25"]}
HERE = ZoneInfo("Asia/Jakarta")


@pytest.fixture
def context(db: Connection) -> Context:
    return make_context(db)


def due(db: Connection, start: datetime, hours: float, calendar: Any = OFFICE) -> datetime:
    found = value(
        db,
        "select app.sla_due_at(%s, %s::numeric, %s::jsonb, 'Asia/Jakarta')",
        start,
        hours,
        json.dumps(calendar),
    )
    assert isinstance(found, datetime)
    return found.astimezone(HERE)


def test_a_clock_that_was_stopped_goes_on_to_escalate(db: Connection, context: Context) -> None:
    """A paused escalation never resumed: grafana/oncall#1206. Here an answer pauses, silence resumes."""
    late = order(db, context, 19)
    sweep(db)
    call(db, serving(db, late), "respond_order", order_id=late["id"], decision="PROGRESS")
    assert flags(db, late) == (False, False, False)
    assert sweep(db) == 0
    db.execute("update app.orders set last_response_at = now() - interval '18 hours'")
    sweep(db)
    assert levels(db, late) == {"REMINDER": 2}


def test_an_order_without_a_sub_distributor_gets_its_clock_when_it_gets_one(
    db: Connection, context: Context
) -> None:
    """Paused while nobody served it, and never taken up again: the same failure by another way."""
    late = order(db, context, 23)
    for subdist in context.subdists:
        db.execute("update app.sub_distributors set status = 'SUSPENDED' where id = %s", [subdist.sub])
    assert sweep(db) == 0
    first = context.subdists[0]
    db.execute("update app.sub_distributors set status = 'ACTIVE' where id = %s", [first.sub])
    call(db, context.admin, "reroute_order", order_id=late["id"], subdist_id=first.sub)
    started(db, late, 18)
    sweep(db)
    assert levels(db, late) == {"REMINDER": 1}


def test_the_hours_that_headquarters_stores_are_run_by_a_job(db: Connection, context: Context) -> None:
    """Rules were stored and nothing ran them: what stands in the schedule is what escalates."""
    command = value(
        db, "select command from jobs.schedule where job = 'sla-sweep' and schedule = '* * * * *'"
    )
    for level, hours in (("reminder", 1), ("manager", 2), ("escalation", 3)):
        db.execute("select app.set_config_value(%s, %s::jsonb)", [f"sla.{level}_hours", str(hours)])
    late = order(db, context, 3)
    db.execute(command)
    assert levels(db, late) == {"REMINDER": 1, "MANAGER": 2, "HQ_INTERVENTION": 2}


def test_nobody_is_reminded_at_midnight_or_on_a_weekend(db: Connection) -> None:
    """Reminders came at midnight and on Sundays: zammad/zammad#4432, glpi-project/glpi PR 22678."""
    start = datetime(2026, 12, 18, 0, 30, tzinfo=HERE)
    for step in range(24 * 10):
        moment = start + timedelta(hours=step)
        for hours in (0.5, 9, 18):
            when = due(db, moment, hours)
            assert when.isoweekday() <= 5, (moment, hours)
            assert when.date().isoformat() != "2026-12-25", (moment, hours)
            assert 8 <= when.hour + when.minute / 60 <= 17, (moment, hours)


def test_time_on_hold_is_not_added_as_wall_clock(db: Connection) -> None:
    """A night on hold moved the deadline by a night: frappe/helpdesk PR 2449.

    A clock that starts again on Friday evening has lost nothing until Monday morning.
    """
    friday_evening = datetime(2026, 11, 20, 20, 0, tzinfo=HERE)
    monday_morning = datetime(2026, 11, 23, 8, 0, tzinfo=HERE)
    for hours in (1, 8, 18, 40):
        assert due(db, friday_evening, hours) == due(db, monday_morning, hours)


def test_a_calendar_that_is_never_open_does_not_loop_for_ever(db: Connection, context: Context) -> None:
    """A calendar without working time looped for ever: zammad/zammad#2497."""
    db.execute("set local statement_timeout = '10s'")
    thursdays = [f"{datetime(2026, 1, 1) + timedelta(days=7 * n):%Y-%m-%d}" for n in range(600)]
    closed = OFFICE | {"days": [4], "holidays": thursdays}
    start = datetime(2026, 11, 23, 8, 0, tzinfo=HERE)
    assert due(db, start, 18, closed) == start + timedelta(hours=18)
    late = order(db, context, 30)
    db.execute("select app.set_config_value('sla.calendar', %s::jsonb)", [json.dumps(closed)])
    assert sweep(db) == 1
    assert levels(db, late)


@pytest.mark.parametrize("decision", ["ACCEPT", "DECLINE"])
def test_no_clock_runs_on_after_the_answer(db: Connection, context: Context, decision: str) -> None:
    """It ran on after the answer, and what was queued was still sent: chatwoot/chatwoot#10178, PR 15024."""
    late = order(db, context, 21)
    sweep(db)
    call(db, serving(db, late), "respond_order", order_id=late["id"], decision=decision)
    assert flags(db, late) == (False, False, False)
    assert messages(db, late) == {}
    assert sweep(db) == 0
    if decision == "ACCEPT":
        call(db, context.admin, "approve_order", order_id=late["id"])
        db.execute(
            "update app.orders set routed_at = now() - interval '9 days',"
            " last_response_at = now() - interval '8 days'"
        )
    assert sweep(db) == 0
    assert levels(db, late) == {"REMINDER": 1, "MANAGER": 2}
